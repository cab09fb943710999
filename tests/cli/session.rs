//! One command: with nothing of the caller's environment, and a home of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(1);

/// What a relay needs in order to start, with nothing behind it.
pub(crate) const ENOUGH: [(&str, &str); 5] = [
    ("OMNI_RELAY__OMNI__BASE_URL", "http://127.0.0.1:1"),
    ("OMNI_RELAY__OMNI__API_KEYS", "an-api-key"),
    ("OMNI_RELAY__REDIS__URL", "redis://127.0.0.1:1"),
    ("OMNI_RELAY__HTTP__LISTEN", "127.0.0.1:0"),
    ("OMNI_RELAY__HTTP__ADMIN_LISTEN", ""),
];

/// A home directory, which the commands of one session share.
pub(crate) struct Session {
    pub home: TempDir,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A command that is run to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::from_std(self.bare(arguments));
        command.timeout(PATIENCE);
        command
    }

    /// A command that goes on by itself.
    pub(crate) fn start<'a>(&self, arguments: &[&str], env: impl IntoIterator<Item = (&'a str, &'a str)>) -> Running {
        let mut command = self.bare(arguments);
        command.envs(env).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        read(child.stdout.take().unwrap(), sender.clone());
        read(child.stderr.take().unwrap(), sender);
        Running { child, lines, said: Vec::new() }
    }

    /// Writes a file into the home directory and returns its path.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_omni-relay"));
        command.env_clear().env("HOME", self.home.path()).current_dir(self.home.path()).args(arguments);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }
}

/// A process that is killed when nobody needs it any more.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Running {
    /// The next line, of stdout or stderr, that contains `part`.
    pub(crate) fn line(&mut self, part: &str) -> String {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(error) => panic!("waiting for {part:?}: {error}; until then:\n{}", self.said.join("\n")),
            }
            if let Some(line) = self.said.last().filter(|line| line.contains(part)) {
                return line.clone();
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end: the exit code, and how long that took. The code is `None` when a signal killed it.
    pub(crate) fn end(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        // Its end closes both pipes.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            self.said.push(line);
        }
        assert!(began.elapsed() < PATIENCE, "it does not end; it said:\n{}", self.said.join("\n"));
        (self.child.wait().unwrap().code(), began.elapsed())
    }

    pub(crate) fn said(&self) -> String {
        self.said.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}
