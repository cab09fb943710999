//! kill -9 of the real binary at named points, and what is there after it was started again.
//!
//! The binary stops at the point that `OMNI_RELAY_FAILPOINT` names, says so on stderr and never goes on: the line is the
//! proof that it died there. Needs the feature `failpoints`.
#![cfg(feature = "failpoints")]

use std::process::Command;
use std::time::Duration;

use omni_relay::simulator::{Behaviour, CancelRace, Fault, FaultKind, User};
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
async fn killed_after_a_pushed_prompt_was_accepted_it_is_asked_once() {
    let mut world = World::with(Setting::config(|sources| sources.with("reconcile.after", "500ms"))).await;
    world.sim.next_job(Behaviour::new().held());
    let _ = world.stop().await;
    let process = Process::start(&world, &[("OMNI_RELAY_FAILPOINT", "intake.accepted"), HASTE]).await;
    // The pushed one waits in line: nothing else is at work on it when the relay dies.
    let first = world.ask_in("thread", "revenue by region").await;
    world.eventually_in(&first, "submitted").await;
    world.push(&pushed().to_string()).await;
    process.dies_at("intake.accepted");

    let _again = Process::start(&world, &[HASTE]).await;
    world.sim.release(world.sim.jobs()[0].id);
    eventually("both are answered", async || (count(&world, "omni.answer").await == 2).then_some(())).await;
    assert_eq!(world.sim.jobs().len(), 2, "asked, and paid, twice");
}

/// A prompt with a file.
fn with_file() -> Value {
    let mut body = pushed();
    body["attachments"] = json!([{"data": "aGk=", "mimeType": "image/png"}]);
    body
}

async fn files(world: &World) -> Vec<String> {
    world.keys().await.into_iter().filter(|key| key.contains(":attachment:")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_files_that_omni_has_were_dropped_none_are_left() {
    let mut world = World::new().await;
    world.sim.next_job(Behaviour::new().held());
    let _ = world.stop().await;
    let process = Process::start(&world, &[("OMNI_RELAY_FAILPOINT", "submit.recorded")]).await;
    let asked = world.ask_with(with_file()).await;
    process.dies_at("submit.recorded");
    assert_eq!(files(&world).await.len(), 1, "dropped before it died");

    let _again = Process::start(&world, &[]).await;
    world.sim.release(world.sim.jobs()[0].id);
    answered_once(&world, &asked).await;
    world.eventually_in(&asked, "answered").await;
    assert!(files(&world).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_a_prompt_with_files_was_accepted_they_end_by_themselves() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let process = Process::start(&world, &[("OMNI_RELAY_FAILPOINT", "intake.attached")]).await;
    world.push(&with_file().to_string()).await;
    process.dies_at("intake.attached");
    let left = files(&world).await;
    let life: i64 = world.redis(redis::cmd("PTTL").arg(&left[0])).await;
    assert!(left.len() == 1 && life > 0, "{left:?} for {life} ms");

    let _again = Process::start(&world, &[]).await;
    eventually("it is answered", async || has(&world, "omni.answer").await.then_some(())).await;
    settles_its_delivery(&world, "inbox").await;
    assert_eq!(files(&world).await, left);
    assert_eq!(world.sim.jobs()[0].attachments.len(), 1);
}

/// What somebody does with a world whose relay dies of it.
#[derive(Clone, Copy, Debug)]
enum Act {
    Ask,
    Push,
    Cancel,
    Replay,
    Discard,
}

/// Where it dies, the settings, what is done, how the prompt ends once the relay is there again.
type Death = (&'static str, &'static [(&'static str, &'static str)], Act, &'static str);

#[rustfmt::skip]
const DEATHS: &[Death] = &[
    ("intake.accept",       &[],                           Act::Push,    "omni.answer"),
    ("due.promoted",        &[],                           Act::Ask,     "omni.answer"),
    ("receive.stored",      &[],                           Act::Ask,     "omni.answer"),
    ("process.settled",     &[],                           Act::Ask,     "omni.answer"),
    ("reconcile.found",     &[("webhook.public_url", "")], Act::Ask,     "omni.answer"),
    ("reconcile.concluded", &[("webhook.public_url", "")], Act::Ask,     "omni.answer"),
    ("reconcile.cancelled", &[],                           Act::Cancel,  "omni.cancelled"),
    ("dead.replayed",       &[],                           Act::Replay,  "omni.answer"),
    ("dead.discarded",      &[],                           Act::Discard, "omni.failed"),
    ("dead.buried",         &[],                           Act::Replay,  "omni.answer"),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_a_prompt_is_asked_once_and_ends_once() {
    for (point, settings, act, end) in DEATHS {
        let setting = Setting::config(|sources| {
            // It dies where it stands, and webhooks may find nobody.
            let sources = sources.with("reconcile.after", "500ms");
            settings.iter().fold(sources, |sources, (name, value)| sources.with(name, *value))
        });
        let mut world = World::with(setting).await;
        let _ = world.stop().await;
        prepare(&world, point, *act);
        let dying = [("OMNI_RELAY_FAILPOINT", *point), HASTE];
        let process = Process::start(&world, &dying).await;
        perform(&world, *act).await;
        process.dies_at(point);

        let _again = Process::start(&world, &[HASTE]).await;
        if *point == "dead.buried" {
            eventually("readers are told of the death", async || has(&world, "omni.delayed").await.then_some(())).await;
            let letters = world.letters().await;
            assert_eq!(world.replay(&letters[0]).await.0, 202);
        }
        eventually(&format!("after {point} it ends"), async || has(&world, end).await.then_some(())).await;
        for stream in ["intake", "prompts", "inbox"] {
            settles_its_delivery(&world, stream).await;
        }
        let entries = world.entries("thread").await;
        let types: Vec<&str> = entries.iter().filter_map(|entry| entry["type"].as_str()).collect();
        let ends = types.iter().filter(|kind| **kind == *end).count();
        assert!(ends == 1 && types.last() == Some(end), "{point}: {types:?}");
        assert_eq!(world.answers().await.iter().filter(|entry| entry["type"] == *end).count(), 1, "{point}");
        assert_eq!(world.sim.jobs().len(), 1, "{point}: asked, and paid, twice");
        assert!(world.letters().await.is_empty(), "{point}");
    }
}

/// The times that no configuration changes, shorter.
const HASTE: (&str, &str) = ("OMNI_RELAY_HASTE", "80");

fn prepare(world: &World, point: &str, act: Act) {
    match act {
        // Its result has to be asked for twice.
        Act::Ask if point == "due.promoted" => {
            world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(500, None)));
        }
        Act::Cancel => world.sim.set_default(Behaviour::new().held().cancel(CancelRace::AtOnce)),
        // As often as it is tried.
        Act::Replay | Act::Discard => {
            world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(500, None)).times(4));
        }
        Act::Ask | Act::Push => {}
    }
}

/// Does it. Whoever is not answered, because the relay dies, does not wait for it.
#[expect(clippy::disallowed_methods, reason = "a request that is not answered is left to itself")]
async fn perform(world: &World, act: Act) {
    if matches!(act, Act::Push) {
        world.push(&pushed().to_string()).await;
        return;
    }
    let asked = world.ask_in("thread", "revenue by region").await;
    let url = |path: String| format!("{}/v1/{path}", world.url);
    let request = match act {
        Act::Cancel => {
            world.eventually_in(&asked, "submitted").await;
            world.http.post(url(format!("prompts/{}/cancel", asked.id)))
        }
        Act::Replay | Act::Discard => {
            eventually("it is dead", async || world.letters().await.pop()).await;
            let letter = url(format!("dead-letters/{}", asked.id));
            if matches!(act, Act::Replay) {
                world.http.post(format!("{letter}/replay"))
            } else {
                world.http.delete(letter)
            }
        }
        Act::Ask | Act::Push => return,
    };
    tokio::spawn(request.send());
}

fn pushed() -> Value {
    let user = User::new("dana", "Dana").id.to_string();
    json!({"prompt": "revenue by region", "conversation": "thread", "userId": user})
}

async fn has(world: &World, kind: &str) -> bool {
    count(world, kind).await > 0
}

async fn count(world: &World, kind: &str) -> usize {
    world.entries("thread").await.iter().filter(|entry| entry["type"] == kind).count()
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
