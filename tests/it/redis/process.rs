//! One run of a server program.

use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use omni_relay::store::embedded::{ServerBinary, default_search};
use tokio::time::sleep;

use super::guard::Guard;
use super::server::{POLL, READY_WITHIN, serves, url_of};

/// Below every system's range of ports for outgoing connections: while a server is down nobody else is given its port,
/// and a client that keeps trying cannot connect to itself.
pub(super) const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Dropping it kills the server.
pub(super) struct Process {
    child: Child,
    pub(super) port: u16,
    _guard: Guard,
}

impl Process {
    /// A server in `dir`; `fsync` is `always`, `everysec` or, for one that starts from a dump there, `off`.
    pub(super) async fn start_anywhere(dir: &Path, fsync: &str) -> Self {
        for _ in 0..20 {
            let port = fastrand::u16(PORTS);
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue;
            }
            if let Some(process) = Self::start(dir, port, fsync).await {
                return process;
            }
        }
        panic!("no server starts; its log: {}", std::fs::read_to_string(dir.join("server.log")).unwrap_or_default());
    }

    /// None when the server ends before it answers, as it does when somebody else has the port.
    pub(super) async fn start(dir: &Path, port: u16, fsync: &str) -> Option<Self> {
        Self::start_as(dir, port, &append_only(fsync)).await
    }

    /// The same with these arguments besides the usual ones.
    pub(super) async fn start_as(dir: &Path, port: u16, more: &[&str]) -> Option<Self> {
        let mut arguments: Vec<OsString> = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no"]
            .into_iter()
            .chain(["--save", ""])
            .chain(more.iter().copied())
            .map(OsString::from)
            .collect();
        arguments.extend(["--logfile".into(), dir.join("server.log").into(), "--dir".into(), dir.into()]);
        Self::launch(dir, port, &arguments, async |url| serves(url, dir).await).await
    }

    /// A server program in `dir` with these arguments, once it is ready.
    pub(super) async fn launch(
        dir: &Path,
        port: u16,
        arguments: &[OsString],
        is_ready: impl AsyncFn(&str) -> bool,
    ) -> Option<Self> {
        let program = ServerBinary::find(&default_search())
            .unwrap_or_else(|error| panic!("tests need a Redis server program or a container engine: {error}"));
        let child = Command::new(program.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the program ran a moment ago");
        let pid = child.id().to_string();
        let guard = Guard::new(r#"kill -KILL "$1"; rm -rf "$2""#, [OsStr::new(&pid), dir.as_os_str()]);
        let mut process = Self { child, port, _guard: guard };
        let give_up = Instant::now() + READY_WITHIN;
        while !process.has_ended() {
            if is_ready(&process.url()).await {
                return Some(process);
            }
            assert!(Instant::now() < give_up, "the server runs and does not answer");
            sleep(POLL).await;
        }
        None
    }

    pub(super) fn url(&self) -> String {
        url_of(self.port)
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", r#"kill -"$1" "$2""#, "signal", name, &self.child.id().to_string()])
            .status()
            .expect("a shell");
        assert!(sent.success(), "SIG{name} was not delivered");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// With an append-only file a server does not look at a dump.
fn append_only(fsync: &str) -> Vec<&str> {
    match fsync {
        "off" => vec!["--appendonly", "no"],
        when => vec!["--appendonly", "yes", "--appendfsync", when],
    }
}
