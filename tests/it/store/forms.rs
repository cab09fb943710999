//! What holds on every form of Redis: the core story, and prompts that are asked while a master dies.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use omni_relay::simulator::{Behaviour, User};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::world::{Asked, PATIENCE, World, eventually};

/// Many servers each: one after the other.
pub(super) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Ask, follow up in order, fifty copies of a webhook, read it all as server-sent events; a large result besides.
pub(super) async fn core_story(world: &World) {
    let mut line = Vec::new();
    for n in 0..5 {
        line.push(world.ask_in("thread", &format!("revenue by region, take {n}")).await);
    }
    for asked in &line {
        world.eventually_answered(asked).await;
    }
    let ends: Vec<Value> = world.entries("thread").await.into_iter().filter(|e| e["type"] == "omni.answer").collect();
    let order: Vec<&str> = ends.iter().map(|end| end["data"]["promptId"].as_str().unwrap()).collect();
    assert_eq!(order, line.iter().map(|asked| asked.id.as_str()).collect::<Vec<_>>());

    world.sim.next_job(Behaviour::new().at_once(50));
    let copied = world.ask("revenue by month").await;
    // Opened while the answer is not there: the reader is woken.
    let reader = read_events(world, &copied);
    let (text, _) = tokio::join!(reader, world.eventually_answered(&copied));
    assert_eq!(text.matches("event: omni.answer").count(), 1, "{text}");
    world.sim.next_job(Behaviour::new().huge_result(300 * 1024));
    let large = world.ask("revenue by week").await;
    let answer = world.eventually_answered(&large).await;
    if let Some(key) = answer["data"]["resultRef"]["key"].as_str() {
        let payload: String = world.redis(redis::cmd("GET").arg(key)).await;
        assert!(payload.len() > 300 * 1024);
    }
    let pushed =
        format!(r#"{{"prompt":"revenue by day","conversation":"pushed","userId":"{}"}}"#, User::new("dana", "Dana").id);
    world.push(&pushed).await;
    eventually("the pushed prompt is answered", async || {
        let entries = world.entries("pushed").await;
        entries.iter().any(|entry| entry["type"] == "omni.answer").then_some(())
    })
    .await;
}

/// Everything a reader gets until the answer.
async fn read_events(world: &World, asked: &Asked) -> String {
    let url = format!("{}/v1/conversations/{}/events", world.url, asked.conversation);
    let mut response = world.http.get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut text = String::new();
    while !text.contains("event: omni.answer") {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("an event in time").unwrap();
        text.push_str(std::str::from_utf8(&chunk.expect("the stream goes on")).unwrap());
    }
    text
}

/// Prompts are asked all the time; in the middle `fail` takes a master away or replaces it. The same process goes on; every prompt that
/// was accepted ends, once, but for those whose record the promoted replica never got: these are counted and told.
pub(super) async fn goes_on_without_its_master(world: &World, form: &str, fail: impl AsyncFnOnce()) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for n in 0..30 {
        before.push(ask_until_accepted(world, form, n).await);
    }
    fail().await;
    let failed = Instant::now();
    after.push(ask_until_accepted(world, form, 30).await);
    let accepting = failed.elapsed();
    for n in 31..50 {
        after.push(ask_until_accepted(world, form, n).await);
    }
    let mut open: Vec<&Asked> = before.iter().chain(&after).collect();
    let mut lost = Vec::new();
    let mut looked = Instant::now();
    while !open.is_empty() {
        assert!(failed.elapsed() < Duration::from_secs(30), "unfinished: {open:?}");
        let mut still = Vec::new();
        for asked in open {
            match world.phase(&asked.id).await.as_deref() {
                Some("answered") => {}
                None => lost.push(asked.id.clone()),
                Some(_) => still.push(asked),
            }
        }
        open = still;
        // What Omni told while nobody could keep it, it has given up telling.
        if looked.elapsed() > Duration::from_secs(1) {
            looked = Instant::now();
            world.sim.jobs().iter().for_each(|job| world.sim.resend(job.id));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut creates = HashMap::<String, usize>::new();
    for job in world.sim.jobs() {
        *creates.entry(job.prompt).or_default() += 1;
    }
    let twice = creates.values().filter(|times| **times > 1).count();
    println!(
        "{form}: accepting again after {accepting:?}, all ended after {:?}; of {} accepted before {} lost; {twice} created twice",
        failed.elapsed(),
        before.len(),
        lost.len(),
    );
    assert!(after.iter().all(|asked| !lost.contains(&asked.id)), "lost after the promotion: {lost:?}");
}

/// As a program would: the same key until it is accepted.
async fn ask_until_accepted(world: &World, form: &str, n: usize) -> Asked {
    let body = json!({"prompt": format!("revenue on {form}, take {n}"), "userId": User::new("dana", "Dana").id.to_string(),
                      "idempotencyKey": format!("{form} {n}")});
    let object: Value = eventually("the prompt is accepted", async || {
        let response = world.post(&body).await;
        match response.status().as_u16() {
            200 | 202 => Some(response.json().await.unwrap()),
            503 => None,
            other => panic!("{other}: {}", response.text().await.unwrap()),
        }
    })
    .await;
    Asked { id: crate::world::text(&object, "promptId"), conversation: crate::world::text(&object, "conversation") }
}
