//! Why somebody waits: what a story says about waits while they last and once they are over.

use std::time::Duration;

use omni_relay::config::Sources;
use omni_relay::simulator::{Behaviour, Fault, FaultKind};
use serde_json::{Value, json};

use crate::world::{Asked, Setting, World, eventually};

async fn story(world: &World, id: &str) -> Value {
    let answer = world.get(&format!("/v1/explain/{id}")).await;
    assert_eq!(answer.status(), 200, "{id}");
    answer.json().await.unwrap()
}

fn step<'a>(story: &'a Value, what: &str) -> &'a Value {
    let steps = story["steps"].as_array().unwrap();
    steps.iter().find(|step| step["what"] == what).unwrap_or_else(|| panic!("no `{what}` in {story:#}"))
}

/// The waits before a step: causes, and milliseconds.
fn waits<'a>(story: &'a Value, what: &str) -> Vec<(&'a str, u64)> {
    let waits = step(story, what)["waits"].as_array();
    let wait = |wait: &'a Value| (wait["cause"].as_str().unwrap(), wait["ms"].as_u64().unwrap());
    waits.into_iter().flatten().map(wait).collect()
}

async fn timeline(world: &World, asked: &Asked) -> Vec<String> {
    let object: Value = world.get(&format!("/v1/prompts/{}", asked.id)).await.json().await.unwrap();
    let steps = object["timeline"].as_array().unwrap();
    steps.iter().map(|step| step["phase"].as_str().unwrap().to_owned()).collect()
}

async fn answered(world: &World, asked: &Asked) -> Value {
    world.eventually_in(asked, "answered").await;
    story(world, &asked.id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_conversation_is_told_for_whom_and_for_how_long() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().held());
    let first = world.ask_in("thread", "revenue by region").await;
    world.eventually_in(&first, "submitted").await;
    let second = world.ask_in("thread", "and by month?").await;
    let third = world.ask_in("thread", "and by day?").await;
    let waiting = story(&world, &second.id).await;
    assert_eq!(waiting["phase"], "waiting");
    assert_eq!((&waiting["next"]["cause"], &waiting["next"]["on"]), (&json!("conversation"), &json!(first.id)));
    assert!(waiting["next"]["expiresAt"].is_string(), "{waiting}");
    let last = story(&world, &third.id).await;
    assert!(last["next"]["what"].as_str().unwrap().contains("one that waits"), "{last}");
    let thread = story(&world, "thread").await;
    assert_eq!((&thread["promptId"], &thread["waiting"]), (&json!(first.id), &json!([second.id, third.id])));
    assert!(thread["next"]["what"].as_str().unwrap().contains("webhook"), "{thread}");
    let running = story(&world, &first.id).await;
    assert!(running["next"]["at"].is_string() && running["next"]["expiresAt"].is_string(), "{running}");

    world.cancel(&first).await;
    world.eventually_ends(&first).await;
    let told = answered(&world, &second).await;
    let [(cause, _)] = waits(&told, "its conversation is free")[..] else { panic!("{told:#}") };
    assert_eq!(cause, "conversation");
    assert_eq!(step(&told, "its conversation is free")["waits"][0]["on"], first.id);
    assert_eq!(told["next"], Value::Null);
    world.eventually_answered(&third).await;
    let cancelled = story(&world, &first.id).await;
    step(&cancelled, "cancel by http");
    step(&cancelled, "it is cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_budget_is_told_so_and_until_when() {
    // Room for one job, until Omni's minute is over.
    let minute = (Duration::from_secs(5), Duration::from_millis(600));
    let limit = |sources: Sources| sources.with("omni.requests_per_minute", "3");
    let world = World::with(Setting { minute, ..Setting::config(limit) }).await;
    let first = world.ask("revenue by region").await;
    world.eventually_answered(&first).await;
    let second = world.ask("revenue by month").await;
    let next = story(&world, &second.id).await["next"].take();
    assert_eq!((next["cause"].as_str(), next["at"].is_string()), (Some("budget"), true), "{next}");
    world.eventually_answered(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_omni_is_told_with_its_cause_while_it_lasts_and_afterwards() {
    let world = World::new().await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(2))).times(1));
    let asked = world.ask("revenue by region").await;
    let told = eventually("it is said what it waits for", async || {
        let told = story(&world, &asked.id).await;
        (told["next"]["cause"] == "rate_limit" && told["next"]["at"].is_string()).then_some(told)
    })
    .await;
    assert_eq!(told["phase"], "queued");
    // It lasts: nothing waited for it before.
    assert!(waits(&told, "it is sent to Omni").iter().all(|(cause, _)| *cause != "rate_limit"), "{told:#}");
    let told = answered(&world, &asked).await;
    assert_eq!(timeline(&world, &asked).await, ["queued", "queued", "sending", "submitted", "finishing", "answered"]);
    let waits = waits(&told, "it is sent to Omni");
    let limit: u64 = waits.iter().filter(|(cause, _)| *cause == "rate_limit").map(|(_, ms)| ms).sum();
    assert!(limit >= 1000, "{told:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_failed_are_told_although_the_answer_came() {
    let world = World::new().await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(2));
    let asked = world.ask("revenue by region").await;
    let told = answered(&world, &asked).await;
    for attempt in ["attempt 1 of process failed", "attempt 2 of process failed"] {
        assert!(step(&told, attempt)["detail"].as_str().unwrap().contains("503"), "{told:#}");
    }
    assert_eq!(waits(&told, "it is answered").iter().map(|(cause, _)| *cause).collect::<Vec<_>>(), ["retry"]);
    let times: Vec<&str> = told["steps"].as_array().unwrap().iter().map(|step| step["at"].as_str().unwrap()).collect();
    let parsed: Vec<jiff::Timestamp> = times.iter().map(|at| at.parse().unwrap()).collect();
    assert!(parsed.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_told_and_who_replayed_it() {
    let world = World::new().await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(4));
    let asked = world.ask("revenue by region").await;
    world.eventually_in(&asked, "dead").await;
    let told = story(&world, &asked.id).await;
    assert_eq!(step(&told, "it becomes a dead letter")["detail"], "in process: retries_exhausted");
    assert!(told["next"]["what"].as_str().unwrap().contains("replays or discards"), "{told}");
    let attempts = told["steps"].as_array().unwrap().iter().filter(|step| step["what"] == "an attempt failed").count();
    assert_eq!(attempts, 4, "each once: {told:#}");
    let told = story(&world, &format!("conversation:{}", asked.conversation)).await;
    assert!(told["next"]["what"].as_str().unwrap().contains("replays or discards"), "{told:#}");
    assert_eq!(told["next"]["on"], asked.id);
    world.replay(&asked.id).await;
    let told = answered(&world, &asked).await;
    assert_eq!(timeline(&world, &asked).await[0], "queued");
    step(&told, "replay by http");
    step(&told, "it is replayed");
    step(&told, "omni.delayed is published");
    step(&told, "omni.answer is published");
    assert_eq!(story(&world, &format!("conversation:{}", asked.conversation)).await["next"], Value::Null);
    // A letter of nobody's prompt.
    world.push("no JSON").await;
    let letter = eventually("a letter", async || world.letters().await.pop()).await;
    let told = story(&world, &letter).await;
    assert_eq!((&told["kind"], &told["id"]), (&json!("dead_letter"), &json!(letter)));
    world.discard(&letter).await;
}
