//! Omni's requests are counted, and keys are turned away.

use std::time::Duration;

use omni_relay::simulator::{Behaviour, Fault, FaultKind};
use serde_json::Value;

use crate::world::{Asked, Setting, World, eventually};

/// A minute that lasts two seconds; the margin is for a busy machine.
fn minute() -> Setting {
    Setting { minute: (Duration::from_secs(2), Duration::from_millis(600)), ..Setting::default() }
}

fn limited(limit: u32) -> Setting {
    let adjust = move |sources: omni_relay::config::Sources| {
        sources.with("omni.requests_per_minute", limit.to_string()).with("retry.attempts", "1")
    };
    Setting { requests_per_minute: limit, adjust: Box::new(adjust), ..minute() }
}

fn refusals(world: &World, status: u16) -> usize {
    world.sim.requests().iter().filter(|request| request.status == Some(status)).count()
}

async fn ask_many(world: &World, count: usize) -> Vec<Asked> {
    let mut asked = Vec::new();
    for _ in 0..count {
        asked.push(world.ask("revenue by region").await);
    }
    asked
}

async fn part(world: &World, name: &str) -> Value {
    let report: Value = world.get("/readyz").await.json().await.unwrap();
    report["parts"].as_array().unwrap().iter().find(|part| part["name"] == name).cloned().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_one_budget_and_nobody_is_turned_away() {
    let world = World::with(limited(20)).await;
    let replica = world.replica().await;
    for asked in ask_many(&world, 30).await {
        world.eventually_answered(&asked).await;
    }
    assert_eq!(refusals(&world, 429), 0, "a 429 was provoked");
    assert_eq!(world.sim.requests().len(), 60, "one create and one result each");
    assert!(world.letters().await.is_empty(), "waiting counts no attempt");
    let _ = replica.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_webhooks_polls_and_creates_share_the_budget() {
    let Setting { adjust, .. } = limited(20);
    let adjust = move |sources| adjust(sources).with("webhook.public_url", "").with("webhook.secrets", "");
    let mut setting = Setting { adjust: Box::new(adjust), ..limited(20) };
    setting.tuning.poll = (Duration::from_millis(300), Duration::from_millis(150));
    let world = World::with(setting).await;
    for asked in ask_many(&world, 12).await {
        world.eventually_answered(&asked).await;
    }
    assert_eq!(refusals(&world, 429), 0, "a 429 was provoked");
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_budget_keeps_its_place_in_line() {
    let world = World::with(limited(4)).await;
    let asked = ask_many(&world, 8).await;
    for one in &asked {
        world.eventually_answered(one).await;
    }
    let jobs = world.sim.jobs();
    let sent: Vec<_> = jobs.iter().filter_map(|job| job.webhook_metadata.as_ref()?["promptId"].as_str()).collect();
    for (place, asked) in asked.iter().enumerate() {
        let sent = sent.iter().position(|id| *id == asked.id).expect("it was sent");
        assert!(place.abs_diff(sent) <= 1, "two go out together; this one was {place} in line and went out as {sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_429_is_waited_out_by_everybody() {
    let world = World::with(minute()).await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(2))).times(1));
    let first = world.ask("revenue by region").await;
    eventually("the key is closed", async || (refusals(&world, 429) == 1).then_some(())).await;
    let others = ask_many(&world, 5).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.sim.requests().len(), 1, "somebody asked while the key was closed");
    world.eventually_answered(&first).await;
    for asked in others {
        world.eventually_answered(&asked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_omni_refuses_leaves_the_pool() {
    let mut setting = minute();
    setting.adjust = Box::new(|sources| sources.with("omni.api_keys", "omni_osk_test,omni_osk_gone"));
    setting.api_keys = vec!["omni_osk_test".to_owned()];
    let world = World::with(setting).await;
    for asked in ask_many(&world, 6).await {
        world.eventually_answered(&asked).await;
    }
    assert!(refusals(&world, 401) >= 1, "the key that is gone was tried");
    let omni = part(&world, "omni").await;
    assert_eq!((&omni["state"], &omni["reason"]), (&"degraded".into(), &"omni refuses 1 of 2 api keys".into()));
    assert_eq!(world.get("/readyz").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_prompts_wait_and_readiness_tells() {
    let world = World::with(minute()).await;
    world.sim.next_job(Behaviour::new().held());
    let running = world.ask("revenue by month").await;
    world.eventually_in(&running, "submitted").await;
    for (method, path) in [("POST", "/jobs"), ("GET", "/result")] {
        world.sim.fault(Fault::new(method, path, FaultKind::Status(401, None)));
    }
    world.sim.release(world.sim.jobs()[0].id);
    let asked = world.ask("revenue by region").await;
    eventually("readiness tells", async || (part(&world, "omni").await["state"] == "degraded").then_some(())).await;
    assert_eq!(part(&world, "omni").await["reason"], "omni refuses every api key: prompts wait");
    assert_eq!(world.get("/readyz").await.status(), 200, "prompts are still accepted");
    // Both were waiting, and counted no attempt; the key is tried again after a while.
    world.eventually_answered(&asked).await;
    world.eventually_answered(&running).await;
    eventually("readiness is back", async || (part(&world, "omni").await["state"] == "ready").then_some(())).await;
    assert!(world.letters().await.is_empty());
}
