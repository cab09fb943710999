//! A replica: the real binary, started, killed and started again on one port.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::redis::Guard;

/// Below the ports of Redis servers and of outgoing connections: nobody else is given one while a replica is down.
const PORTS: std::ops::Range<u16> = 12_000..20_000;
const READY_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Relay {
    pub(super) port: u16,
    environment: Vec<(String, String)>,
    log: PathBuf,
    running: Option<(Child, Guard)>,
}

impl Relay {
    pub(super) fn new(port: u16, environment: Vec<(String, String)>, log: &Path) -> Self {
        Self { port, environment, log: log.to_owned(), running: None }
    }

    /// A port that nobody has.
    pub(super) fn free_port() -> u16 {
        loop {
            let port = fastrand::u16(PORTS);
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    }

    /// Starts it, and waits until it says that it listens: from then on it catches signals. Whether its Redis is there is
    /// another matter.
    pub(super) async fn start(&mut self) -> Result<(), String> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log");
        let before = self.log().len();
        let child = Command::new(env!("CARGO_BIN_EXE_omni-relay"))
            .arg("serve")
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let guard = Guard::new(r#"kill -KILL "$1""#, [OsStr::new(&child.id().to_string())]);
        self.running = Some((child, guard));
        let give_up = Instant::now() + READY_WITHIN;
        while !self.log()[before..].contains("\"listening\"") {
            let (child, _) = self.running.as_mut().expect("it was started");
            if let Some(status) = child.try_wait().expect("a child") {
                return Err(format!("the relay on {} ended by itself: {status}", self.port));
            }
            if Instant::now() > give_up {
                return Err(format!("the relay on {} does not listen", self.port));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// SIGKILL; answers how it ended where it had ended before.
    pub(super) fn kill(&mut self) -> Option<String> {
        let (mut child, _guard) = self.running.take()?;
        let ended = child.try_wait().expect("a child").map(|status| format!("it had ended by itself: {status}"));
        let _ = child.kill();
        let _ = child.wait();
        ended
    }

    /// SIGTERM, and waits for the end; answers what was wrong with it.
    pub(super) async fn stop(&mut self, patience: Duration) -> Option<String> {
        let (mut child, _guard) = self.running.take()?;
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        let give_up = Instant::now() + patience;
        loop {
            match child.try_wait().expect("a child") {
                Some(status) if status.code() == Some(0) => return None,
                Some(status) => return Some(format!("it ended with {status}")),
                // As a scheduler does.
                None if Instant::now() > give_up => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return None;
                }
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    pub(super) fn log(&self) -> String {
        let bytes = File::open(&self.log).and_then(|mut file| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut bytes).map(|_| bytes)
        });
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}
