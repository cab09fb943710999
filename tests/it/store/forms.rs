//! What holds on every form of Redis: the core story, and prompts that are asked while a master dies.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use omni_relay::pipeline::reconcile::Tuning;
use omni_relay::simulator::{Behaviour, User};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::world::{Asked, PATIENCE, Setting, World, eventually, is_terminal, within};

/// Replicas of equal standing may split the votes of a Cluster, and then wait for long before they stand again.
const ELECTION: Duration = Duration::from_mins(1);

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
    let file = json!([{"data": "aGk=", "mimeType": "image/png"}]);
    let large = world.ask_with(json!({"prompt": "revenue by week", "attachments": file})).await;
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

/// A world on a Redis with masters to lose: what is quiet is looked at soon, and jobs take a while.
pub(super) async fn world(url: String, replicas: u32) -> World {
    let ms = Duration::from_millis;
    let tuning = Tuning { lookups: (ms(400), ms(1200)), slowest: ms(1000), idle: ms(50), ..Tuning::default() };
    let setting = Setting::config(move |sources| {
        sources.with("reconcile.after", "1500ms").with("durability.replicas", replicas.to_string())
    });
    let world = World::with(Setting { redis: Some(url), tuning, ..setting }).await;
    eventually("the relay is ready", async || (world.get("/readyz").await.status() == 200).then_some(())).await;
    world
}

/// What a round with a failure in its middle showed.
#[derive(Debug)]
pub(super) struct Round {
    /// Accepted before the longest pause, and how many had no end when the master failed.
    pub(super) accepted: usize,
    pub(super) in_flight: usize,
    /// Acknowledged and never ended: before the pause, and after it.
    pub(super) lost: usize,
    pub(super) lost_after: usize,
    /// Ended more than once; created more than once at Omni.
    pub(super) ended_twice: usize,
    pub(super) created_twice: usize,
    /// Dead letters that a person has to decide on.
    pub(super) dead: usize,
    /// The longest time in which nothing was accepted.
    pub(super) pause: Duration,
    /// From the failure to the last end.
    pub(super) ended: Duration,
}

/// Prompts are asked all the time by several programs, each with the same key until it is accepted; in the middle `fail`
/// takes a master away or replaces it. The same process goes on.
pub(super) async fn round(world: &World, form: &str, fail: impl AsyncFnOnce()) -> Round {
    world.sim.set_default(Behaviour::new().slow(Duration::from_millis(500)));
    let earlier = world.sim.jobs().len();
    let accepted = Mutex::new(Vec::<(Asked, Instant)>::new());
    let stop = AtomicBool::new(false);
    let load = async |program: usize| {
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let asked = ask_until_accepted(world, &format!("{form} {program}"), n).await;
            accepted.lock().await.push((asked, Instant::now()));
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    };
    let driver = async {
        eventually("thirty are accepted", async || (accepted.lock().await.len() >= 30).then_some(())).await;
        fail().await;
        let failed = Instant::now();
        let before = accepted.lock().await.len();
        let in_flight =
            before.saturating_sub(world.sim.jobs()[earlier..].iter().filter(|job| job.state.is_final()).count());
        within(ELECTION, "twenty more are accepted", async || {
            (accepted.lock().await.iter().filter(|(_, at)| *at > failed).count() >= 20).then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        (failed, in_flight)
    };
    let ((), (), (), (failed, in_flight)) = tokio::join!(load(0), load(1), load(2), driver);
    let mut before = accepted.into_inner();
    before.sort_by_key(|(_, at)| *at);
    let gap = |index: &usize| before[*index].1 - before[*index - 1].1;
    let resumed = (1..before.len()).max_by_key(gap).expect("many were accepted");
    let pause = gap(&resumed);
    let after = before.split_off(resumed);
    let mut round = Round {
        accepted: before.len(),
        in_flight,
        lost: 0,
        lost_after: 0,
        ended_twice: 0,
        created_twice: 0,
        dead: 0,
        pause,
        ended: Duration::ZERO,
    };
    for (lot, after) in [(&before, false), (&after, true)] {
        for (end, at) in join_all(lot.iter().map(|(asked, _)| ends(world, asked))).await {
            match end {
                End::Once => round.ended = round.ended.max(at - failed),
                End::Twice => round.ended_twice += 1,
                End::Dead => round.dead += 1,
                End::Never if after => round.lost_after += 1,
                End::Never => round.lost += 1,
            }
        }
    }
    let mut creates = HashMap::<String, usize>::new();
    for job in world.sim.jobs() {
        *creates.entry(job.prompt).or_default() += 1;
    }
    round.created_twice = creates.values().filter(|times| **times > 1).count();
    println!("{form}: {round:?}");
    round
}

enum End {
    Once,
    Twice,
    Dead,
    Never,
}

/// How a prompt ended: waited for, unless nothing is left that could end it.
async fn ends(world: &World, asked: &Asked) -> (End, Instant) {
    let give_up = Instant::now() + PATIENCE;
    let mut nothing_left = None;
    loop {
        let entries = world.entries(&asked.conversation).await;
        let ends = entries.iter().filter(|entry| is_terminal(entry)).count();
        let phase = world.phase(&asked.id).await;
        match (ends, phase.as_deref()) {
            (1, _) => return (End::Once, Instant::now()),
            (2.., _) => return (End::Twice, Instant::now()),
            (_, Some("dead")) => return (End::Dead, Instant::now()),
            // Its record is lost, or its entry: a webhook may still come.
            (_, None | Some("answered" | "failed" | "cancelled" | "expired")) => {
                let since = *nothing_left.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_secs(2) {
                    return (End::Never, Instant::now());
                }
            }
            _ => nothing_left = None,
        }
        let in_time = Instant::now() < give_up;
        let why = if in_time { String::new() } else { work_of(world, asked).await };
        assert!(in_time, "{asked:?} does not end; {why}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is known of a prompt and of the streams, for whoever has to find out why it does not end.
async fn work_of(world: &World, asked: &Asked) -> String {
    let key = |name: &str| format!("{{{}}}:{name}", world.namespace);
    let mut record = world.record(&asked.id).await;
    for field in ["request", "metadata", "traceparent"] {
        record.remove(field);
    }
    let mut known = vec![format!("record {record:?}, now {}", world.clock.now_ms())];
    for stream in ["prompts", "inbox"] {
        let pending: redis::Value =
            world.redis(redis::cmd("XPENDING").arg(key(stream)).arg("relay").arg("-").arg("+").arg(100)).await;
        let length: usize = world.redis(redis::cmd("XLEN").arg(key(stream))).await;
        let groups: redis::Value = world.redis(redis::cmd("XINFO").arg("GROUPS").arg(key(stream))).await;
        known.push(format!("{stream}: {length}, pending {pending:?}, groups {groups:?}"));
    }
    for set in ["due", "turns", "deadlines"] {
        let members: Vec<(String, f64)> =
            world.redis(redis::cmd("ZRANGE").arg(key(set)).arg(0).arg(-1).arg("WITHSCORES")).await;
        known.push(format!("{set}: {members:?}"));
    }
    known.join("\n")
}

/// A round after which nothing may be missing but what the promoted replica never got.
pub(super) async fn goes_on_without_its_master(world: &World, form: &str, fail: impl AsyncFnOnce()) {
    let round = round(world, form, fail).await;
    assert_eq!((round.ended_twice, round.created_twice, round.lost_after), (0, 0, 0), "{round:?}");
}

/// As a program would: the same key until it is accepted.
async fn ask_until_accepted(world: &World, form: &str, n: usize) -> Asked {
    let body = json!({"prompt": format!("revenue on {form}, take {n}"), "userId": User::new("dana", "Dana").id.to_string(),
                      "idempotencyKey": format!("{form} {n}")});
    let object: Value = within(ELECTION, "the prompt is accepted", async || {
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
