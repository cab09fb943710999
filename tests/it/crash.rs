//! kill -9 of the real binary at named points, and what is there after it was started again.
//!
//! The binary stops at the point that `OMNI_RELAY_FAILPOINT` names, says so on stderr and never goes on: the line is the
//! proof that it died there. Needs the feature `failpoints`.
#![cfg(feature = "failpoints")]

use std::process::Command;
use std::time::Duration;

use omni_relay::simulator::Behaviour;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{Asked, Process, Setting, World, eventually, free_port};

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
async fn killed_between_submit_and_a_webhook_that_is_lost_the_prompt_is_answered() {
    for settings in [("reconcile.after", "300ms"), ("webhook.public_url", "")] {
        let mut world = World::with(Setting::config(move |sources| sources.with(settings.0, settings.1))).await;
        world.sim.set_default(Behaviour::new().never());
        let _ = world.stop().await;
        let process = Process::start(&world, &[("OMNI_RELAY_FAILPOINT", "submit.recorded")]).await;
        let asked = world.ask_in("thread", "revenue by region").await;
        process.dies_at("submit.recorded");
        assert_eq!(world.phase(&asked.id).await.as_deref(), Some("submitted"));
        assert!(!ended(&world, &asked).await, "published before it died");

        let _again = Process::start(&world, &[]).await;
        answered_once(&world, &asked).await;
        assert_eq!(world.sim.count("POST", "/jobs"), 1, "asked, and paid, twice");
    }
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
async fn one_of_two_replicas_is_killed_with_two_hundred_prompts_in_flight() {
    let setting = Setting {
        jobs: Duration::from_secs(4)..=Duration::from_secs(6),
        latency: Duration::from_millis(50)..=Duration::from_millis(150),
        ..Setting::config(|sources| sources.with("reconcile.after", "3s"))
    };
    let world = World::with(setting).await;
    let listen = format!("127.0.0.1:{}", free_port());
    let environment = [("OMNI_RELAY__HTTP__LISTEN", listen.as_str()), ("OMNI_RELAY__HTTP__ADMIN_LISTEN", "")];
    let replica = Process::start(&world, &environment).await;
    eventually("the replica is ready", async || {
        let answer = world.http.get(format!("http://{listen}/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;
    let mut all = Vec::new();
    for number in 0..200 {
        all.push(world.ask_in(&format!("thread-{number}"), "revenue by region").await);
    }
    // Who dies between a create and its record leaves it to its webhook, or to a person: that is told above.
    eventually("omni has all of them", async || (world.sim.jobs().len() == 200).then_some(())).await;
    settles_its_delivery(&world, "prompts").await;
    eventually("both are at work", async || (holders(&world, "inbox").await == 2).then_some(())).await;
    let done = world.answers().await.len();
    drop(replica);
    let killed = Instant::now();
    for asked in &all {
        world.eventually_answered(asked).await;
    }
    println!(
        "{} in flight when one of two was killed; the last was answered {:.1} s later",
        200 - done,
        killed.elapsed().as_secs_f64()
    );
    assert_eq!(world.sim.count("POST", "/jobs"), 200, "asked, and paid, twice, or never");
}

/// Consumers of a stage that hold entries.
async fn holders(world: &World, stream: &str) -> usize {
    let key = format!("{{{}}}:{stream}", world.namespace);
    let reply: redis::streams::StreamInfoConsumersReply =
        world.redis(redis::cmd("XINFO").arg("CONSUMERS").arg(key).arg("relay")).await;
    reply.consumers.iter().filter(|consumer| consumer.pending > 0).count()
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
