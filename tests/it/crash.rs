//! kill -9 of the real binary at named points, and what is there after it was started again.
//!
//! The binary stops at the point that `OMNI_RELAY_FAILPOINT` names, says so on stderr and never goes on: the line is the
//! proof that it died there. Needs the feature `failpoints`.
#![cfg(feature = "failpoints")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use omni_relay::simulator::Behaviour;
use serde_json::{Value, json};

use crate::world::{Asked, PATIENCE, World, eventually};

/// `serve`, as a process.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts the binary with the world's configuration, and waits until it is ready.
    async fn start(world: &World, failpoint: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_omni-relay"));
        command.arg("serve").env_clear().stdout(Stdio::null()).stderr(Stdio::piped());
        for (name, value) in world.environment() {
            command.env(name, value);
        }
        if let Some(name) = failpoint {
            command.env("OMNI_RELAY_FAILPOINT", name);
        }
        let mut child = command.spawn().expect("the binary starts");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let process = Self { child, lines };
        eventually("the process is ready", async || {
            let answer = world.http.get(format!("{}/readyz", world.url)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        process
    }

    /// Waits until the process says that it stands at the point, kills it, and proves that it died of that.
    fn dies_at(mut self, failpoint: &str) {
        let wanted = format!("failpoint {failpoint} reached");
        tokio::task::block_in_place(|| {
            let mut seen = Vec::new();
            loop {
                match self.lines.recv_timeout(PATIENCE) {
                    Ok(line) if line == wanted => break,
                    Ok(line) => seen.push(line),
                    Err(end) => panic!("{end}: the process did not reach {failpoint}; it said {seen:#?}"),
                }
            }
        });
        self.child.kill().expect("a process to kill");
        let status = self.child.wait().expect("an end");
        assert_eq!(status.signal(), Some(9), "it ended by itself: {status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_receive_and_publish_there_is_one_entry() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let process = Process::start(&world, Some("process.publish")).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    process.dies_at("process.publish");
    assert!(!ended(&world, &asked).await, "published before it died");

    let _again = Process::start(&world, None).await;
    answered_once(&world, &asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_publish_and_settle_there_is_one_entry() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let process = Process::start(&world, Some("process.published")).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    process.dies_at("process.published");
    assert!(ended(&world, &asked).await, "not published when it died");
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("finishing"), "settled before it died");

    let _again = Process::start(&world, None).await;
    answered_once(&world, &asked).await;
    assert_eq!(world.answers().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_create_and_its_record_there_is_no_second_create() {
    let mut world = World::new().await;
    world.sim.set_default(Behaviour::new().held());
    let _ = world.stop().await;
    let process = Process::start(&world, Some("submit.created")).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    process.dies_at("submit.created");
    let record = world.record(&asked.id).await;
    assert_eq!((record["phase"].as_str(), record.get("jobId")), ("sending", None), "recorded before it died");

    let _again = Process::start(&world, None).await;
    settles_its_delivery(&world, "prompts").await;
    assert_eq!(world.sim.count("POST", "/jobs"), 1, "asked, and paid, twice");
    world.sim.release(world.sim.jobs()[0].id);
    answered_once(&world, &asked).await;
    assert_eq!(world.sim.count("POST", "/jobs"), 1, "asked, and paid, twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_create_was_sent_nobody_sends_it() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let process = Process::start(&world, Some("submit.sending")).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    process.dies_at("submit.sending");
    let _again = Process::start(&world, None).await;
    settles_its_delivery(&world, "prompts").await;
    // Nobody can know that nothing was sent: the prompt stays where it was, for its webhook or for a person.
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("sending"));
    assert_eq!(world.sim.count("POST", "/jobs"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_by_signal_is_clean() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let mut process = Process::start(&world, None).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    answered_once(&world, &asked).await;
    let pid = process.child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
    assert!(killed.success());
    let status = eventually("the process ends", async || process.child.try_wait().expect("a child")).await;
    assert_eq!(status.code(), Some(0), "{status}");
    let consumers: Value = {
        let key = format!("{{{}}}:inbox", world.namespace);
        let reply: redis::streams::StreamInfoConsumersReply =
            world.redis(redis::cmd("XINFO").arg("CONSUMERS").arg(key).arg("relay")).await;
        json!(reply.consumers.len())
    };
    assert_eq!(consumers, 0, "consumers that hold nothing are removed at the end");
}

async fn ended(world: &World, asked: &Asked) -> bool {
    world.entries(&asked.conversation).await.iter().any(|entry| entry["type"] == "omni.answer")
}

async fn answered_once(world: &World, asked: &Asked) {
    world.eventually_answered(asked).await;
    world.eventually_in(asked, "answered").await;
    settles_its_delivery(world, "inbox").await;
    let answers = world.entries(&asked.conversation).await;
    assert_eq!(answers.iter().filter(|entry| entry["type"] == "omni.answer").count(), 1, "{answers:?}");
}

/// Whoever was started again has dealt with what the dead one held.
async fn settles_its_delivery(world: &World, stream: &str) {
    eventually(&format!("{stream} is empty"), async || {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let length: usize = world.redis(redis::cmd("XLEN").arg(format!("{{{}}}:{stream}", world.namespace))).await;
        (length == 0).then_some(())
    })
    .await;
}
