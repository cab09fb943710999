//! The real binary, as a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::{ALL, World, eventually};

/// `serve`, as a process.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts the binary with the world's configuration and these variables, and waits until it is ready.
    pub(crate) async fn start(world: &World, environment: &[(&str, &str)]) -> Self {
        let process = Self::spawn(world, environment);
        eventually("the process is ready", async || {
            let answer = world.http.get(format!("{}/readyz", world.url)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        process
    }

    /// The same without waiting.
    pub(crate) fn spawn(world: &World, environment: &[(&str, &str)]) -> Self {
        Self::of(world, ALL, environment)
    }

    /// One with these roles, without waiting.
    pub(crate) fn of(world: &World, roles: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_omni-relay"));
        command.arg("serve").env_clear().stdout(Stdio::null()).stderr(Stdio::piped());
        for (name, value) in world.environment(roles) {
            command.env(name, value);
        }
        command.envs(environment.iter().copied());
        let mut child = command.spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// Waits until the process says that it stands at the point, kills it, and proves that it died of that.
    #[cfg(feature = "failpoints")]
    pub(crate) fn dies_at(mut self, failpoint: &str) {
        let wanted = format!("failpoint {failpoint} reached");
        tokio::task::block_in_place(|| {
            let mut seen = Vec::new();
            loop {
                match self.lines.recv_timeout(super::PATIENCE) {
                    Ok(line) if line == wanted => break,
                    Ok(line) => seen.push(line),
                    Err(end) => panic!("{end}: the process did not reach {failpoint}; it said {seen:#?}"),
                }
            }
        });
        self.child.kill().expect("a process to kill");
        let status = self.child.wait().expect("an end");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it ended by itself: {status}");
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// The next line of its log that holds this, of those that nobody looked at yet.
    pub(crate) fn says(&self, wanted: &str) -> String {
        let end = std::time::Instant::now() + super::PATIENCE;
        tokio::task::block_in_place(|| {
            loop {
                let left = end.saturating_duration_since(std::time::Instant::now());
                match self.lines.recv_timeout(left) {
                    Ok(line) if line.contains(wanted) => return line,
                    Ok(_) => {}
                    Err(end) => panic!("{end}: the process did not say {wanted}"),
                }
            }
        })
    }

    /// Ends it, and answers everything it logged.
    pub(crate) fn log(mut self) -> Vec<String> {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("an end");
        self.lines.iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
