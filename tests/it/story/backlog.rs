//! A backlog that is full: who is turned away, who waits, and what they are told.

use std::time::Duration;

use omni_relay::simulator::User;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::world::{Asked, MODEL, Setting, World, eventually, text};

const ACME: &str = "key-of-acme-0123456789";

/// Two tenants; the share of one is 20,000 prompts.
async fn world() -> World {
    let setting = Setting::config(|sources| {
        sources
            .with("callers.acme.key", ACME)
            .with("callers.acme.tenant", "acme")
            .with("callers.globex.key", "key-of-globex-0123456789")
            .with("callers.globex.tenant", "globex")
    });
    World::with(setting).await
}

fn prompt(conversation: &str) -> Value {
    let user = User::new("dana", "Dana").id;
    json!({"prompt": "revenue by region", "modelId": MODEL, "conversation": conversation, "userId": user})
}

/// Makes the backlog that full, or takes that away again.
async fn full(world: &World, field: &str, by: i64) {
    let key = format!("{{{}}}:backlog", world.namespace);
    let left: i64 = world.redis(redis::cmd("HINCRBY").arg(&key).arg(field).arg(by)).await;
    if left == 0 {
        let _: i64 = world.redis(redis::cmd("HDEL").arg(&key).arg(field)).await;
    }
}

async fn pushed(world: &World, tenant: &str, conversation: &str) {
    let mut body = prompt(conversation);
    body["tenant"] = tenant.into();
    world.push(&body.to_string()).await;
}

async fn ask(world: &World, conversation: &str) -> reqwest::Response {
    let request = world.http.post(format!("{}/v1/prompts", world.url)).bearer_auth(ACME).json(&prompt(conversation));
    request.send().await.expect("the relay answers")
}

async fn answered(world: &World, conversation: &str) {
    let entry = eventually("something is said", async || world.entries(conversation).await.into_iter().next()).await;
    let id = text(&entry["data"], "promptId");
    world.eventually_answered(&Asked { id, conversation: conversation.to_owned() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_full_backlog_says_when_to_come_again() {
    let world = world().await;
    for (field, limit, detail) in [
        ("prompts:acme", 20_000, "the tenant has its share of unfinished prompts; try again later"),
        ("bytes:acme", 256 * 1024 * 1024 / 5, "the tenant has its share of unfinished prompts; try again later"),
        ("prompts", 100_000, "there are too many unfinished prompts; try again later"),
        ("bytes", 256 * 1024 * 1024, "there are too many unfinished prompts; try again later"),
    ] {
        full(&world, field, limit).await;
        let response = ask(&world, "t").await;
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"10".parse().unwrap()));
        let problem: Value = response.json().await.unwrap();
        assert_eq!((problem["code"].as_str(), problem["detail"].as_str()), (Some("backlog"), Some(detail)), "{field}");
        full(&world, field, -limit).await;
    }
    assert_eq!(ask(&world, "t").await.status(), 202);
    answered(&world, "acme/t").await;
    assert_eq!(world.sim.jobs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_backlog_turns_away_those_of_a_batch_that_are_new() {
    let world = world().await;
    let mut known = prompt("t");
    known["idempotencyKey"] = "k".into();
    let batch = async |prompts: &[Value]| -> Value {
        let request = world.http.post(format!("{}/v1/prompts:batch", world.url)).bearer_auth(ACME);
        request.json(&json!({"prompts": prompts})).send().await.unwrap().json().await.unwrap()
    };
    let first = batch(std::slice::from_ref(&known)).await;
    assert_eq!(first["items"][0]["status"], 202);
    answered(&world, "acme/t").await;
    full(&world, "prompts:acme", 20_000).await;
    let items = &batch(&[prompt("u"), known]).await["items"];
    assert_eq!((&items[0]["status"], &items[0]["retryAfter"]), (&json!(429), &json!(10)));
    assert_eq!(items[0]["problem"]["code"], "backlog");
    assert_eq!(items[1]["prompt"]["promptId"], first["items"][0]["prompt"]["promptId"]);
    full(&world, "prompts:acme", -20_000).await;
    assert_eq!(world.sim.jobs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_prompt_beyond_its_tenants_share_is_kept_and_blocks_nobody() {
    let world = world().await;
    full(&world, "prompts:acme", 20_000).await;
    pushed(&world, "acme", "t").await;
    pushed(&world, "globex", "t").await;
    answered(&world, "globex/t").await;
    let entries = eventually("its readers are told", async || {
        Some(world.entries("acme/t").await).filter(|entries| !entries.is_empty())
    })
    .await;
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0]["type"], &entries[0]["data"]["error"]["code"]), (&"omni.failed".into(), &"backlog".into()));
    let letters = world.letters().await;
    assert_eq!((letters.len(), &letters[0]), (1, &text(&entries[0]["data"], "promptId")));
    let letter = world.letter(&letters[0]).await;
    assert_eq!((letter["stage"].as_str(), letter["reason"].as_str()), ("intake", "backlog"));
    full(&world, "prompts:acme", -20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_has_room_pushed_prompts_wait_in_their_stream_and_in_their_order() {
    let mut world = world().await;
    full(&world, "prompts", 100_000).await;
    pushed(&world, "acme", "first").await;
    pushed(&world, "globex", "second").await;
    // How often each was delivered.
    let pending = async |world: &World| -> Vec<usize> {
        let mut command = redis::cmd("XPENDING");
        command.arg(format!("{{{}}}:intake", world.namespace)).arg("relay").arg("-").arg("+").arg(10);
        let pending: redis::streams::StreamPendingCountReply = world.redis(&command).await;
        pending.ids.into_iter().map(|entry| entry.times_delivered).collect()
    };
    eventually("the first is held", async || (pending(&world).await == [1]).then_some(())).await;
    // Whoever holds it keeps it, however many would like to.
    let other = world.replica().await;
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(pending(&world).await, [1]);
        sleep(Duration::from_millis(50)).await;
    }
    let _ = other.stop(Duration::from_secs(5)).await;
    // A stop does not wait for room, and does not lose what waits for it.
    let _ = world.stop().await;
    assert_eq!(pending(&world).await, [0], "what held it back is not its fault");
    world.start().await;
    eventually("it is held again", async || (pending(&world).await == [1]).then_some(())).await;
    assert!(world.entries("acme/first").await.is_empty() && world.letters().await.is_empty());
    full(&world, "prompts", -100_000).await;
    answered(&world, "globex/second").await;
    answered(&world, "acme/first").await;
    // Ids are made when a prompt is taken, and sort by that time.
    let mut taken = Vec::new();
    for conversation in ["acme/first", "globex/second"] {
        taken.push(text(&world.entries(conversation).await[0]["data"], "promptId"));
    }
    assert!(taken[0] < taken[1], "taken out of order: {taken:?}");
    assert!(world.letters().await.is_empty());
}
