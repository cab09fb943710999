//! Starting, owning and stopping the server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::control::{self, Answer};
use super::home::Home;
use super::{EmbeddedError, ServerBinary, default_search};

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// Which program to run, and where its data lives.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The configured program; nothing else is tried when it is set.
    pub binary: Option<PathBuf>,
    /// Directories to look in otherwise.
    pub search: Vec<PathBuf>,
    /// Data, log, lock and socket. Created when it is not there.
    pub dir: PathBuf,
}

impl EmbeddedOptions {
    /// Looks on PATH and in the cache of `./dev`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { binary: None, search: default_search(), dir: dir.into() }
    }
}

/// A running server. Dropping it kills the server; [`Embedded::stop`] lets it write and sync first.
#[must_use = "dropping it kills the server"]
pub struct Embedded {
    child: Child,
    binary: ServerBinary,
    home: Home,
}

impl Embedded {
    /// Answers once the server does, with whatever data the directory held.
    pub async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let binary = match &options.binary {
            Some(path) => ServerBinary::at(path)?,
            None => ServerBinary::find(&options.search)?,
        };
        let home = Home::open(&options.dir)?;
        stop_orphan(&home.socket).await?;
        let mut child = spawn(&binary, &home)?;
        wait_until_ready(&mut child, &home).await?;
        Ok(Self { child, binary, home })
    }

    /// `unix:///…`, for the redis crate.
    pub fn url(&self) -> String {
        control::url_of(&self.home.socket)
    }

    pub fn socket(&self) -> &Path {
        &self.home.socket
    }

    /// Product and version, like `Valkey 9.1.2`.
    pub fn version(&self) -> String {
        self.binary.version()
    }

    /// None once the server has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns when the server ends by itself; without it there is nothing left to serve. Safe to drop.
    pub async fn ended(&mut self) -> EmbeddedError {
        match self.child.wait().await {
            Ok(_) => EmbeddedError::Exited { log: self.home.log.clone(), last: last_line(&self.home.log) },
            Err(error) => EmbeddedError::Process(error),
        }
    }

    /// Stops in order; a server that does not follow is killed, and that is the error.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        control::shutdown(&self.home.socket).await;
        if let Ok(ended) = timeout(STOPPED_WITHIN, self.child.wait()).await {
            return ended.map(|_| ()).map_err(EmbeddedError::Process);
        }
        self.child.kill().await.map_err(EmbeddedError::Process)?;
        Err(EmbeddedError::Killed { waited: STOPPED_WITHIN })
    }
}

/// The lock is ours, so a server on our socket has lost its relay (which was killed: nothing else ends the one without
/// the other).
async fn stop_orphan(socket: &Path) -> Result<(), EmbeddedError> {
    let give_up = Instant::now() + STOPPED_WITHIN;
    while control::ping(socket).await != Answer::Absent {
        if Instant::now() >= give_up {
            return Err(EmbeddedError::Orphan { socket: socket.to_owned() });
        }
        control::shutdown(socket).await;
        sleep(POLL).await;
    }
    Ok(())
}

fn spawn(binary: &ServerBinary, home: &Home) -> Result<Child, EmbeddedError> {
    Command::new(binary.path())
        .args(["--port", "0", "--unixsocketperm", "700", "--daemonize", "no", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"])
        .arg("--unixsocket")
        .arg(&home.socket)
        .arg("--dir")
        .arg(&home.dir)
        .arg("--logfile")
        .arg(&home.log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C in a terminal goes to the whole foreground group: the server has to outlive the relay's drain.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| EmbeddedError::NotRunnable { path: binary.path().to_owned(), source })
}

async fn wait_until_ready(child: &mut Child, home: &Home) -> Result<(), EmbeddedError> {
    let give_up = Instant::now() + READY_WITHIN;
    loop {
        if child.try_wait().map_err(EmbeddedError::Process)?.is_some() {
            return Err(EmbeddedError::Exited { log: home.log.clone(), last: last_line(&home.log) });
        }
        if control::ping(&home.socket).await == Answer::Ready {
            return Ok(());
        }
        if Instant::now() >= give_up {
            return Err(EmbeddedError::NotReady { log: home.log.clone(), waited: READY_WITHIN });
        }
        sleep(POLL).await;
    }
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("(nothing)").to_owned()
}
