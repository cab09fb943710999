//! The version of stored shapes: whoever meets a newer one than it reads holds back, and goes on once it may.

use std::time::Duration;

use omni_relay::simulator::User;
use omni_relay::store::StoreError;
use omni_relay::store::delivery::Stream;
use omni_relay::store::shape::SHAPE;
use omni_relay::store::streams::Consumer;
use serde_json::{Value, json};

use super::bed::{BLOCK, Bed, next, prompt_of, webhook};
use crate::world::{MODEL, World, eventually};

const NEWER: u32 = SHAPE + 1;

fn is_newer<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(error @ StoreError::Newer { stored: NEWER }) if error.passes())
}

#[tokio::test]
async fn an_older_version_or_none_becomes_ours_and_a_newer_one_stays() {
    let bed = Bed::new().await;
    let key = bed.store.keys().shape.clone();
    let stored = async || bed.ask::<Option<u32>>(&["GET", &key]).await;
    bed.accept("c").await;
    assert_eq!(stored().await, None, "a command does not hold running relays back");
    for before in [None, Some("0")] {
        if let Some(before) = before {
            let _: String = bed.ask(&["SET", &key, before]).await;
        }
        bed.store.meet().await.unwrap();
        assert_eq!(stored().await, Some(SHAPE), "after {before:?}");
    }
    let _: String = bed.ask(&["SET", &key, &NEWER.to_string()]).await;
    assert!(is_newer(bed.store.meet().await));
    assert_eq!(stored().await, Some(NEWER));
    // What nobody here can read was written by somebody newer.
    let _: String = bed.ask(&["SET", &key, "two"]).await;
    assert!(matches!(bed.store.meet().await, Err(StoreError::Newer { .. })));
    assert_eq!(bed.ask::<String>(&["GET", &key]).await, "two");
}

#[tokio::test]
async fn what_a_newer_version_stored_is_neither_read_nor_moved() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let waits = bed.accept("c").await;
    let key = bed.store.keys().shape.clone();
    let _: String = bed.ask(&["SET", &key, &NEWER.to_string()]).await;
    assert!(is_newer(bed.store.meet().await));
    assert!(is_newer(submit.read(1, BLOCK).await));
    assert!(is_newer(submit.claim(1, Duration::ZERO).await));
    assert!(is_newer(bed.store.receive(webhook(uuid::Uuid::new_v4())).await));
    assert_eq!(bed.depth(Stream::Prompts).await, (1, 0));

    // Who has not looked yet, as a command, looks before its first move.
    let command = bed.replica();
    assert!(is_newer(command.promote(u64::MAX, 1).await));
    assert!(is_newer(Consumer::new(command, Stream::Prompts, "other").read(1, BLOCK).await));

    let _: usize = bed.ask(&["DEL", &key]).await;
    bed.store.meet().await.unwrap();
    assert_eq!(prompt_of(&next(&mut submit).await), waits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_meets_a_newer_version_holds_back_until_it_may_go_on() {
    let world = World::new().await;
    let key = format!("{{{}}}:shape", world.namespace);
    let ready = async |wanted: bool| {
        let status = if wanted { 200 } else { 503 };
        eventually("readiness follows", async || (world.get("/readyz").await.status() == status).then_some(())).await;
    };
    ready(true).await;
    assert_eq!(world.redis::<u32>(redis::cmd("GET").arg(&key)).await, SHAPE, "written by whoever serves");

    let _: String = world.redis(redis::cmd("SET").arg(&key).arg(NEWER)).await;
    ready(false).await;
    let report: Value = world.get("/readyz").await.json().await.unwrap();
    assert_eq!(report["parts"][0]["reason"], "redis holds what a newer version stored", "{report}");
    assert_eq!(world.get("/livez").await.status(), 200, "a restart would not help");
    let user = User::new("dana", "Dana").id;
    let prompt = json!({"prompt": "revenue?", "modelId": MODEL, "conversation": "pushed", "userId": user});
    assert_eq!(world.post(&prompt).await.status(), 503);
    let event = br#"{"event_id":"e","jobId":"6f1d1a5e-9a35-4c21-8c0f-6d1d44f1c001","status":"COMPLETE"}"#;
    assert_eq!(world.webhook(event).await.status(), 503, "acknowledging from memory");
    world.push(&prompt.to_string()).await;
    let doctor: Value = world.http.post(format!("{}/v1/doctor", world.url)).send().await.unwrap().json().await.unwrap();
    let told = doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "stored shapes");
    assert_eq!(told.expect("doctor says it")["state"], "fail", "{doctor}");
    assert!(world.entries("pushed").await.is_empty());

    let _: String = world.redis(redis::cmd("SET").arg(&key).arg(SHAPE)).await;
    ready(true).await;
    eventually("the pushed prompt ends", async || (world.answers().await.len() == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_version_that_nobody_knows_becomes_a_letter_and_keeps_its_bytes() {
    let world = World::new().await;
    let id = uuid::Uuid::now_v7();
    let later = json!({"v": 2, "promptId": id, "event": {"what": "a later version knows"}}).to_string();
    for stream in ["prompts", "inbox"] {
        let key = format!("{{{}}}:{stream}", world.namespace);
        let _: String = world.redis(redis::cmd("XADD").arg(key).arg("*").arg("entry").arg(&later)).await;
    }
    let letters = eventually("both are letters", async || {
        let letters = world.letters().await;
        (letters.len() == 2).then_some(letters)
    })
    .await;
    for id in &letters {
        let letter = world.letter(id).await;
        assert_eq!((letter["reason"].as_str(), letter["original"].as_str()), ("malformed", later.as_str()));
        // Put back it is what it was, for the version that reads it; this one makes it a letter again.
        assert_eq!(world.replay(id).await.0, 202);
    }
    eventually("both are letters again", async || {
        let again = world.letters().await;
        (again.len() == 2 && again.iter().all(|id| !letters.contains(id))).then_some(())
    })
    .await;
    for id in world.letters().await {
        assert_eq!(world.letter(&id).await["original"], later);
    }
}
