//! kill -9 of the real binary at named points, and what is there after it was started again.
//!
//! The binary stops at the point that `OMNI_RELAY_FAILPOINT` names, says so on stderr and never goes on: the line is the
//! proof that it died there. Needs the feature `failpoints`.
#![cfg(feature = "failpoints")]

use std::process::Command;
use std::time::Duration;

use omni_relay::simulator::Behaviour;
use serde_json::{Value, json};

use crate::world::{Asked, Process, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_receive_and_publish_there_is_one_entry() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let process = Process::start(&world, &[("OMNI_RELAY_FAILPOINT", "process.publish")]).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    process.dies_at("process.publish");
    assert!(!ended(&world, &asked).await, "published before it died");

    let _again = Process::start(&world, &[]).await;
    answered_once(&world, &asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_publish_and_settle_there_is_one_entry() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let process = Process::start(&world, &[("OMNI_RELAY_FAILPOINT", "process.published")]).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    process.dies_at("process.published");
    assert!(ended(&world, &asked).await, "not published when it died");
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("finishing"), "settled before it died");

    let _again = Process::start(&world, &[]).await;
    answered_once(&world, &asked).await;
    assert_eq!(world.answers().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_create_and_its_record_there_is_no_second_create() {
    let mut world = World::new().await;
    world.sim.set_default(Behaviour::new().held());
    let _ = world.stop().await;
    let process = Process::start(&world, &[("OMNI_RELAY_FAILPOINT", "submit.created")]).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    process.dies_at("submit.created");
    let record = world.record(&asked.id).await;
    assert_eq!((record["phase"].as_str(), record.get("jobId")), ("sending", None), "recorded before it died");

    let _again = Process::start(&world, &[]).await;
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
    let process = Process::start(&world, &[("OMNI_RELAY_FAILPOINT", "submit.sending")]).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    process.dies_at("submit.sending");
    let _again = Process::start(&world, &[]).await;
    settles_its_delivery(&world, "prompts").await;
    // Nobody can know that nothing was sent: the prompt stays where it was, for its webhook or for a person.
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("sending"));
    assert_eq!(world.sim.count("POST", "/jobs"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_by_signal_is_clean() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let mut process = Process::start(&world, &[]).await;
    let asked = world.ask_in("thread", "revenue by region").await;
    answered_once(&world, &asked).await;
    let pid = process.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
    assert!(killed.success());
    let status = eventually("the process ends", async || process.has_ended()).await;
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
