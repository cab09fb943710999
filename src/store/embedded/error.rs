//! What can keep the embedded server from running.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "no redis-server or valkey-server in {}: install one (`apt-get install redis-server`, `brew install valkey`), \
         name one in the configuration, or let `./dev demo` bring it",
        list(.searched)
    )]
    NotFound { searched: Vec<PathBuf> },
    #[error("{} is {version}; Redis 6.2 or Valkey 7.2 is the oldest that serves", path.display())]
    TooOld { path: PathBuf, version: String },
    #[error("{} does not answer --version like a Redis or Valkey server", path.display())]
    NotAServer { path: PathBuf },
    #[error("{} cannot be run", path.display())]
    NotRunnable { path: PathBuf, source: std::io::Error },
    #[error("{} is in use by another relay", dir.display())]
    InUse { dir: PathBuf },
    #[error("{} cannot be prepared for the server", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("{} is not a private directory of this user", path.display())]
    NotPrivate { path: PathBuf },
    #[error("a server left by an earlier run answers on {} and does not stop", socket.display())]
    Orphan { socket: PathBuf },
    #[error("the server stopped while it started, its log {} ends with: {last}", log.display())]
    Exited { log: PathBuf, last: String },
    #[error("the server was not ready after {waited:?}, its log is {}", log.display())]
    NotReady { log: PathBuf, waited: Duration },
    #[error("the server did not stop in {waited:?} and was killed")]
    Killed { waited: Duration },
    #[error("the server's process cannot be watched")]
    Process(#[source] std::io::Error),
}

fn list(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
}
