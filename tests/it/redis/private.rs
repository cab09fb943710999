//! A server of one test, for faults.

use std::path::Path;

use tempfile::TempDir;

use super::process::{PORTS, Process};
use super::server::{eventually, url_of};

/// A server process that its test may stop, kill and freeze. It writes every command to disk before it answers
/// (`appendfsync always`), so what was answered must be there after any end.
pub(crate) struct PrivateRedis {
    process: Option<Process>,
    port: u16,
    dir: TempDir,
}

impl PrivateRedis {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory for the server");
        let process = Process::start_anywhere(dir.path(), "always").await;
        Self { port: process.port, process: Some(process), dir }
    }

    /// Starts with a file of users.
    pub(super) async fn start_as(users: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the server");
        let include = users.to_str().expect("a path that is text");
        for _ in 0..20 {
            let more = ["--appendonly", "yes", "--include", include];
            if let Some(process) = Process::start_as(dir.path(), fastrand::u16(PORTS), &more).await {
                return Self { port: process.port, process: Some(process), dir };
            }
        }
        panic!(
            "no server starts; its log: {}",
            std::fs::read_to_string(dir.path().join("server.log")).unwrap_or_default()
        );
    }

    /// Starts from a copy of a dump.
    pub(super) async fn start_with(dump: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the server");
        std::fs::copy(dump, dir.path().join("dump.rdb")).expect("a dump to start from");
        let process = Process::start_anywhere(dir.path(), "off").await;
        Self { port: process.port, process: Some(process), dir }
    }

    /// Where it keeps its data.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The same before and after a restart.
    pub(crate) fn url(&self) -> String {
        url_of(self.port)
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("a server that runs");
        process.signal("TERM");
        eventually("the server ends", || process.has_ended()).await;
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        drop(self.process.take().expect("a server that runs"));
    }

    /// The same port, the same data.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        let started = Process::start(self.dir.path(), self.port, "always").await;
        self.process = Some(started.expect("the server starts again on its port"));
    }

    /// Connections stay open and nothing answers, until [`PrivateRedis::resume`].
    pub(crate) fn pause(&self) {
        self.process.as_ref().expect("a server that runs").signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.process.as_ref().expect("a server that runs").signal("CONT");
    }
}
