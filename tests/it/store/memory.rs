//! What finished prompts leave behind: every key is held against the table of `store::keys`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use omni_relay::simulator::{Behaviour, Fault, FaultKind, User};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::json;

use crate::world::{Asked, Setting, World, eventually};

const SECOND: i64 = 1000;
const DAY: i64 = 24 * 3600 * SECOND;
/// As short as `jobs.deadline` and `jobs.max_wait` let it be.
const RETENTION: i64 = 12 * SECOND;
const LONGEST_ANSWERS: usize = 100;
/// Bytes, names of keys included, results too large for an entry not.
const MOST_PER_PROMPT: usize = 12 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn finished_prompts_leave_only_what_the_table_says() {
    leaves_only_what_the_table_says(500).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "ten thousand prompts take minutes in a build for debugging"]
async fn ten_thousand_finished_prompts_leave_only_what_the_table_says() {
    leaves_only_what_the_table_says(10_000).await;
}

async fn leaves_only_what_the_table_says(prompts: usize) {
    let setting = Setting::config(|sources| {
        sources
            .with("retention", "12s")
            .with("jobs.deadline", "6s")
            .with("jobs.max_wait", "6s")
            .with("reconcile.after", "1s")
            .with("answers.max_len", LONGEST_ANSWERS.to_string())
    });
    let world = World::with(setting).await;
    world.sim.set_default(Behaviour::new().slow(Duration::from_millis(1)));
    // Many questions in one go.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_mins(1)));
    let client = redis::Client::open(world.redis_url.as_str()).unwrap();
    let mut redis = client.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
    let began = std::time::Instant::now();
    stream::iter(0..prompts).for_each_concurrent(48, |n| of_every_kind(&world, n)).await;
    dead_letters(&world).await;
    eventually("nothing is in work", async || in_work(&world, &mut redis).await.is_none().then_some(())).await;
    println!("{prompts} prompts in {:?}", began.elapsed());
    hold(&world, &mut redis, prompts, false).await;
    // What lives as long as the retention is gone after it.
    let life = Duration::from_millis(u64::try_from(RETENTION).unwrap());
    tokio::time::sleep(life + Duration::from_millis(500)).await;
    hold(&world, &mut redis, prompts, true).await;
}

/// Most are asked alone; some follow up, some wait in line and are cancelled, some fail, some are never told.
async fn of_every_kind(world: &World, n: usize) {
    let text = match n % 50 {
        7 => format!("[sim:failed] revenue {n}"),
        13 => format!("[sim:never] revenue {n}"),
        19 => format!("[sim:huge=300k] revenue {n}"),
        23 => format!("[sim:twice] revenue {n}"),
        _ => format!("revenue {n}"),
    };
    let mut body = json!({"prompt": text});
    if n.is_multiple_of(10) {
        body["idempotencyKey"] = json!(format!("k-{n}"));
    }
    if n % 50 == 41 {
        body["attachments"] = json!([{"data": "aGk=", "mimeType": "image/png"}]);
        body["progress"] = json!(true);
    }
    if n % 50 == 29 {
        body["conversation"] = json!(format!("line-{n}"));
    }
    match n % 50 {
        31 => body["user"] = json!({"externalId": "emea-anna"}),
        37 => body["user"] = json!({"externalId": format!("nobody-{n}")}),
        _ => {}
    }
    let asked = world.ask_with(body).await;
    if n % 50 == 29 {
        let second = world.ask_in(&asked.conversation, "and by month?").await;
        world.cancel(&second).await;
        ended(world, &second).await;
    }
    ended(world, &asked).await;
}

async fn ended(world: &World, asked: &Asked) {
    let object = world.get(&format!("/v1/prompts/{}?wait=20", asked.id)).await;
    let object: serde_json::Value = object.json().await.unwrap();
    assert!(object["entry"].is_object(), "{object}");
}

async fn dead_letters(world: &World) {
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(8));
    let dead = [world.ask("revenue by hour").await, world.ask("revenue by minute").await];
    for asked in &dead {
        world.eventually_in(asked, "dead").await;
    }
    world.replay(&dead[0].id).await;
    world.discard(&dead[1].id).await;
    world.push("no JSON").await;
    let letter = eventually("a letter", async || world.letters().await.pop()).await;
    world.discard(&letter).await;
    world.webhook(br#"{"hello":"world"}"#).await;
    let dana = User::new("dana", "Dana").id;
    world.push(&json!({"prompt": "revenue?", "conversation": "pushed", "userId": dana}).to_string()).await;
    for asked in &dead {
        world.eventually_ends(asked).await;
    }
}

async fn in_work(world: &World, redis: &mut MultiplexedConnection) -> Option<String> {
    let control = |name: &str| format!("{{{}}}:{name}", world.namespace);
    for name in ["intake", "prompts", "inbox"] {
        let length: usize = redis.xlen(control(name)).await.unwrap();
        if length > 0 {
            return Some(name.to_owned());
        }
    }
    for name in ["due", "turns", "deadlines", "dead"] {
        let length: usize = redis.zcard(control(name)).await.unwrap();
        if length > 0 {
            return Some(name.to_owned());
        }
    }
    None
}

/// What a key is, and how long it may live at most: none for one that stays.
fn allowed(namespace: &str, key: &str) -> Option<(&'static str, Option<i64>)> {
    const DATA: &str = ":conversation:{";
    if let Some(rest) = key.strip_prefix(namespace).and_then(|rest| rest.strip_prefix(DATA)) {
        let (_, tail) = rest.rsplit_once('}')?;
        return match tail.split(':').nth(1) {
            None => Some(("conversation", Some(RETENTION))),
            Some("done") => Some(("done", Some(RETENTION))),
            Some("progress") => Some(("progress", Some(RETENTION))),
            Some("payload") => Some(("payload", Some(RETENTION))),
            _ => None,
        };
    }
    let name = key.strip_prefix(&format!("{{{namespace}}}:"))?;
    Some(match name.split(':').next()? {
        // Each with its group.
        "intake" if name == "intake" => ("stage streams", None),
        "prompts" | "inbox" => ("stage streams", None),
        "intake" => ("lease", Some(60 * SECOND)),
        "prompt" => ("record", Some(RETENTION)),
        "job" => ("job", Some(2 * RETENTION)),
        "idempotency" => ("idempotency", Some(DAY)),
        "seen" => ("seen", Some(3 * DAY)),
        "slot" => ("slot", Some(RETENTION + DAY)),
        "alias" => ("alias", Some(RETENTION + DAY + SECOND)),
        "dead" if name != "dead" => ("closed letter", Some(RETENTION)),
        "audit" => ("audit", None),
        "ended" => ("ended", None),
        "shape" => ("shape", None),
        "user" => ("user", Some(DAY)),
        "unhandled" => ("unhandled", None),
        "answers" => ("answers", None),
        // One Omni key's counters.
        "budget" => ("budget", Some(600 * SECOND)),
        _ => return None,
    })
}

/// Holds every key against its life; prints what there is of each kind.
async fn hold(world: &World, redis: &mut MultiplexedConnection, prompts: usize, late: bool) {
    let keys: Vec<String> = world.keys().await;
    let (mut lives, mut sizes) = (redis::pipe(), redis::pipe());
    for key in &keys {
        lives.pttl(key);
        sizes.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0);
    }
    let lives: Vec<i64> = lives.query_async(redis).await.unwrap();
    let sizes: Vec<Option<usize>> = sizes.query_async(redis).await.unwrap();
    let mut kinds = BTreeMap::<&str, (usize, usize)>::new();
    for ((key, life), size) in keys.iter().zip(lives).zip(sizes) {
        // It ended between two questions.
        let (Some(size), true) = (size, life != -2) else { continue };
        let Some((kind, longest)) = allowed(&world.namespace, key) else { panic!("the table does not know {key}") };
        match longest {
            Some(longest) => assert!((0..=longest).contains(&life), "{key} lives {life} ms, and may live {longest}"),
            None => assert_eq!(life, -1, "{key} has an end and should have none"),
        }
        let (count, bytes) = kinds.entry(kind).or_default();
        (*count, *bytes) = (*count + 1, *bytes + size);
    }
    let whole: usize = kinds.values().map(|(_, bytes)| bytes).sum();
    println!("{} a prompt:", if late { "after the retention" } else { "fresh" });
    for (kind, (count, bytes)) in &kinds {
        println!("  {kind:>15} {count:>7} keys {:>8} bytes", bytes / prompts);
    }
    println!("  {:>15} {:>7}      {:>8} bytes", "all", keys.len(), whole / prompts);
    let answers: usize = redis.xlen(format!("{{{}}}:answers", world.namespace)).await.unwrap();
    assert!(answers <= LONGEST_ANSWERS + 100, "{answers} answers");
    let payloads = kinds.get("payload").map_or(0, |(_, bytes)| *bytes);
    assert!((whole - payloads) / prompts < MOST_PER_PROMPT, "{} bytes a prompt", (whole - payloads) / prompts);
    if late {
        for kind in ["record", "conversation", "done", "progress", "payload", "closed letter"] {
            assert_eq!(kinds.get(kind), None, "{kind} is still there");
        }
    } else {
        assert!(kinds.contains_key("record") && kinds.contains_key("user"), "{kinds:?}");
    }
}
