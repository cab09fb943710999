//! What still happens when the test process has ended, however it ended.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A shell that runs `script` when this process has ended, however it ended. Dropping it calls it off.
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn new<const N: usize>(script: &str, arguments: [&OsStr; N]) -> Self {
        let child = Command::new("sh")
            .args(["-c", &format!("read -r _; {script}"), "guard"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches the group of the test run, and the guard has to outlive it.
            .process_group(0)
            .spawn()
            .expect("a shell");
        Self(child)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What no test of this process can see: the servers are gone once it is. The shell stands in for the test process.
#[tokio::test]
async fn a_guard_acts_when_its_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let guard = Guard::new(r#": > "$1""#, [mark.as_os_str()]);
    let mut child = std::mem::ManuallyDrop::new(guard);
    drop(child.0.stdin.take());
    super::server::eventually("the guard has acted", || mark.exists()).await;
    child.0.wait().unwrap();
}
