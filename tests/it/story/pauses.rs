//! An operator holds stages and tenants back, and lets them go on.

use std::collections::BTreeSet;
use std::time::Duration;

use omni_relay::pipeline::Pauses;
use omni_relay::simulator::{Behaviour, User};
use omni_relay::store::Store;
use omni_relay::store::connection::Redis;
use serde_json::{Value, json};

use crate::world::{Asked, MODEL, Setting, World, eventually};

/// What the command line and HTTP work with.
fn pauses(world: &World) -> Pauses {
    let redis = Redis::new(&world.redis_url).unwrap();
    let store = Store::new(redis, &world.namespace, crate::store::policy());
    Pauses::new(store, world.clock.clone(), BTreeSet::new())
}

async fn part(world: &World, name: &str) -> Value {
    let report: Value = world.get("/readyz").await.json().await.unwrap();
    let parts = report["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}")).clone()
}

/// Waits until the relay says that it obeys.
async fn obeyed(world: &World, name: &str, state: &str) {
    let what = format!("{name} is {state}");
    eventually(&what, async || (part(world, name).await["state"] == state).then_some(())).await;
}

async fn pause(world: &World, stage: &str) {
    let pauses = pauses(world);
    assert!(pauses.pause(pauses.stage(stage).unwrap(), "cli:olga", None).await.unwrap());
    obeyed(world, stage, "degraded").await;
    eventually("traffic still comes", async || (world.get("/readyz").await.status() == 200).then_some(())).await;
}

async fn resume(world: &World, stage: &str) {
    let pauses = pauses(world);
    assert!(pauses.resume(&pauses.stage(stage).unwrap(), "cli:olga").await.unwrap());
    obeyed(world, stage, "ready").await;
}

/// Nothing is read either way, and who wonders why nothing goes on is to hear that it is paused.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_told_while_every_handler_is_busy() {
    let world = World::with(Setting::config(|sources| sources.with("backlog.prompts", "1"))).await;
    world.sim.next_job(Behaviour::new().held());
    let first = world.ask_in("first", "revenue by region").await;
    world.eventually_in(&first, "submitted").await;
    let waiting =
        json!({"prompt": "q", "modelId": MODEL, "conversation": "second", "userId": User::new("dana", "Dana").id});
    world.push(&waiting.to_string()).await;
    world.eventually_in_hand("intake").await;
    pause(&world, "intake").await;
    resume(&world, "intake").await;
    world.sim.release(world.sim.jobs()[0].id);
    eventually("it is answered", async || {
        world.entries("second").await.into_iter().find(|entry| entry["type"] == "omni.answer")
    })
    .await;
}

/// Something that takes every stage but submit.
async fn a_job_created_elsewhere_is_published(world: &World) {
    let (job, conversation) = world.create_elsewhere("revenue?").await;
    let asked = Asked { id: job.to_string(), conversation: conversation.to_string() };
    world.eventually_answered(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_submit_asks_omni_nothing_and_goes_on_when_resumed() {
    let world = World::new().await;
    pause(&world, "submit").await;
    assert_eq!(part(&world, "submit").await["reason"], "paused");
    let asked = [world.ask("revenue by region").await, world.ask("revenue by month").await];
    a_job_created_elsewhere_is_published(&world).await;
    for asked in &asked {
        assert_eq!(world.phase(&asked.id).await.as_deref(), Some("queued"));
    }
    resume(&world, "submit").await;
    for asked in &asked {
        world.eventually_answered(asked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_process_keeps_what_comes() {
    let world = World::new().await;
    pause(&world, "process").await;
    let asked = world.ask("revenue by region").await;
    let inbox = format!("{{{}}}:inbox", world.namespace);
    eventually("the webhook is stored", async || {
        (world.redis::<usize>(redis::cmd("XLEN").arg(&inbox)).await == 1).then_some(())
    })
    .await;
    // A second prompt goes all the way to its webhook meanwhile.
    world.ask("revenue by month").await;
    eventually("another one is stored", async || {
        (world.redis::<usize>(redis::cmd("XLEN").arg(&inbox)).await == 2).then_some(())
    })
    .await;
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("submitted"));
    resume(&world, "process").await;
    world.eventually_answered(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_intake_leaves_pushed_prompts_where_they_are() {
    let world = World::new().await;
    pause(&world, "intake").await;
    let dana = User::new("dana", "Dana").id;
    let body = json!({"prompt": "revenue?", "modelId": MODEL, "conversation": "pushed", "userId": dana});
    world.push(&body.to_string()).await;
    let asked = world.ask("revenue by region").await;
    world.eventually_answered(&asked).await;
    assert!(world.entries("pushed").await.is_empty());
    resume(&world, "intake").await;
    eventually("it is answered", async || {
        world.entries("pushed").await.iter().any(|entry| entry["type"] == "omni.answer").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_tenant_waits_and_nobody_else_does() {
    let world = World::new().await;
    let pauses = pauses(&world);
    let acme = pauses.tenant("acme").unwrap();
    assert!(pauses.pause(acme.clone(), "cli:olga", Some("runaway dashboard".to_owned())).await.unwrap());
    obeyed(&world, "operator", "degraded").await;
    let dana = User::new("dana", "Dana").id;
    let push = async |tenant: &str, key: &str| {
        let body =
            json!({"prompt": "revenue?", "modelId": MODEL, "conversation": key, "userId": dana, "tenant": tenant});
        world.push(&body.to_string()).await;
        format!("{tenant}/{key}")
    };
    let answered = async |conversation: &str| {
        world.entries(conversation).await.iter().any(|entry| entry["type"] == "omni.answer").then_some(())
    };
    let held = push("acme", "a-1").await;
    // One that had its turn before.
    let early = push("other", "b-0").await;
    eventually("it is answered", async || answered(&early).await).await;
    for n in 1..4 {
        let free = push("other", &format!("b-{n}")).await;
        eventually("it is answered", async || answered(&free).await).await;
    }
    assert!(answered(&held).await.is_none());
    assert_eq!(world.entries(&held).await.len(), 1, "it is accepted");
    assert!(pauses.resume(&acme, "cli:olga").await.unwrap());
    eventually("it is answered", async || answered(&held).await).await;
    obeyed(&world, "operator", "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_its_turn_before_its_tenant_was_paused_waits_too() {
    let world = World::new().await;
    // Its turn comes while nobody reads.
    pause(&world, "submit").await;
    let dana = User::new("dana", "Dana").id;
    let body = json!({"prompt": "revenue?", "modelId": MODEL, "conversation": "a-1", "userId": dana, "tenant": "acme"});
    world.push(&body.to_string()).await;
    let prompts = format!("{{{}}}:prompts", world.namespace);
    eventually("it stands in the stream", async || {
        (world.redis::<usize>(redis::cmd("XLEN").arg(&prompts)).await == 1).then_some(())
    })
    .await;
    let pauses = pauses(&world);
    let acme = pauses.tenant("acme").unwrap();
    pauses.pause(acme.clone(), "cli:olga", None).await.unwrap();
    obeyed(&world, "operator", "degraded").await;
    resume(&world, "submit").await;
    let due = format!("{{{}}}:due", world.namespace);
    eventually("it is put aside", async || {
        (world.redis::<usize>(redis::cmd("ZCARD").arg(&due)).await == 1).then_some(())
    })
    .await;
    pauses.resume(&acme, "cli:olga").await.unwrap();
    eventually("it is answered", async || {
        world.entries("acme/a-1").await.iter().any(|entry| entry["type"] == "omni.answer").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_replica_finishes_what_it_holds_and_leaves_the_rest_to_others() {
    let far = Duration::from_secs(2);
    let world = World::with(Setting { latency: far..=far, ..Setting::default() }).await;
    let held = world.ask("revenue by region").await;
    eventually("its result is asked for", async || (world.sim.count("GET", "/result") == 1).then_some(())).await;
    let drain = async || -> u64 {
        let answer = world.http.post(format!("{}/drain", world.url)).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["inWork"].as_u64().unwrap()
    };
    assert_eq!(drain().await, 1);
    eventually("it is not ready", async || (world.get("/readyz").await.status() == 503).then_some(())).await;
    for stage in ["intake", "submit", "process"] {
        obeyed(&world, stage, "degraded").await;
    }
    world.eventually_answered(&held).await;
    eventually("it holds nothing", async || (drain().await == 0).then_some(())).await;

    let late = world.ask("revenue by month").await;
    assert_eq!(world.webhook(br#"{"hello":"world"}"#).await.status(), 200, "webhooks are answered");
    assert_eq!(world.phase(&late.id).await.as_deref(), Some("queued"));
    let other = world.replica().await;
    world.eventually_answered(&late).await;
    world.eventually_in(&late, "answered").await;
    let _ = other.stop(Duration::from_secs(5)).await;
}
