//! What version 0.1.0 left behind is understood by this one: its Redis, its entries.
//!
//! `OMNI_RELAY_RECORD=1` records anew before it reads; a released version's recording is never recorded over.

use std::path::{Path, PathBuf};

use omni_relay::simulator::{Behaviour, Fault, FaultKind, User};
use serde_json::{Value, json};

use crate::contract::Contract;
use crate::redis::TestRedis;
use crate::world::{Asked, MODEL, Setting, World, eventually, text};

const NAMESPACE: &str = "recorded";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v0.1.0")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_version_0_1_0_left_in_redis_goes_on() {
    if std::env::var_os("OMNI_RELAY_RECORD").is_some() {
        record().await;
    }
    let redis = TestRedis::private_with(&folder().join("dump.rdb")).await;
    let recorded: Value = serde_json::from_slice(&std::fs::read(folder().join("prompts.json")).unwrap()).unwrap();
    let world = World::with(Setting { redis: Some(redis.url()), namespace: Some(NAMESPACE.into()), ..patient() }).await;

    let answered = asked(&recorded["answered"]);
    let object: Value = world.get(&format!("/v1/prompts/{}", answered.id)).await.json().await.unwrap();
    assert_eq!((&object["phase"], &object["entry"]["type"]), (&json!("answered"), &json!("omni.answer")), "{object}");

    for name in ["queued", "waiting", "pushed"] {
        let prompt = asked(&recorded[name]);
        let end = eventually(&format!("the {name} prompt is answered"), async || {
            let entries = world.entries(&prompt.conversation).await;
            entries.into_iter().find(|entry| entry["type"] == "omni.answer")
        })
        .await;
        assert_eq!(end["subject"], prompt.conversation.as_str());
    }

    let dead = asked(&recorded["dead"]);
    assert_eq!(world.phase(&dead.id).await.as_deref(), Some("dead"));
    assert_eq!(world.letter(&dead.id).await["reason"], "retries_exhausted");

    // A webhook that was stored and not processed: its job is nowhere any more, so a person is asked to look.
    let stored = asked(&recorded["stored"]);
    world.eventually_in(&stored, "dead").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entries_of_version_0_1_0_are_what_the_document_says() {
    let world = World::new().await;
    let contract = Contract::of(&world.url).await;
    let lines = std::fs::read_to_string(folder().join("entries.ndjson")).unwrap();
    let mut types = std::collections::BTreeSet::new();
    for line in lines.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let mut fields = entry.clone();
        fields["data"] = entry["data"].to_string().into();
        contract.check_entry(&fields, &entry);
        let kind = text(&entry, "type");
        assert_eq!(text(&entry, "id"), format!("{}:{kind}", text(&entry["data"], "promptId")));
        types.insert(kind);
    }
    let wanted = ["omni.answer", "omni.delayed", "omni.failed", "omni.job.submitted", "omni.prompt.accepted"];
    assert_eq!(types.into_iter().collect::<Vec<_>>(), wanted);
}

/// What was recorded long ago has not waited too long.
fn patient() -> Setting {
    Setting::config(|sources| sources.with("jobs.max_wait", "1000d").with("retention", "3000d"))
}

fn asked(recorded: &Value) -> Asked {
    Asked { id: recorded["id"].as_str().unwrap_or_default().to_owned(), conversation: text(recorded, "conversation") }
}

/// Leaves one prompt in each place that a prompt can be in, then keeps Redis as it is.
async fn record() {
    let redis = TestRedis::private().await;
    let setting = Setting { redis: Some(redis.url()), namespace: Some(NAMESPACE.into()), ..Setting::default() };
    let mut world = World::with(setting).await;
    let answered = world.ask_in("answered", "top 5 products by revenue").await;
    world.eventually_answered(&answered).await;
    world.sim.next_job(Behaviour::new().failed("QUERY_TIMEOUT", "the warehouse did not answer"));
    let failed = world.ask_in("failed", "revenue by region").await;
    world.eventually_in(&failed, "failed").await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(4));
    let dead = world.ask_in("dead", "revenue by month").await;
    world.eventually_in(&dead, "dead").await;
    eventually("readers are told", async || (world.answers().await.len() == 3).then_some(())).await;

    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, Some(3600))).times(1));
    let stored = world.ask_in("stored", "revenue by region").await;
    world.eventually_in(&stored, "finishing").await;
    eventually("its webhook waits", async || (due(&world).await == 1).then_some(())).await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(3600))).times(1));
    let queued = world.ask_in("busy", "revenue by region").await;
    let waiting = world.ask_in("busy", "and by month?").await;
    eventually("the create waits", async || (due(&world).await == 2).then_some(())).await;
    let _ = world.stop().await;
    let user = User::new("dana", "Dana").id;
    let pushed = json!({"prompt": "revenue by product", "modelId": MODEL, "conversation": "pushed", "userId": user});
    world.push(&pushed.to_string()).await;
    let due_key = format!("{{{NAMESPACE}}}:due");
    for member in world.redis::<Vec<String>>(redis::cmd("ZRANGE").arg(&due_key).arg(0).arg(-1)).await {
        let _: i64 = world.redis(redis::cmd("ZADD").arg(&due_key).arg(0).arg(member)).await;
    }

    let mut lines = String::new();
    for conversation in ["answered", "failed", "dead"] {
        for entry in world.entries(conversation).await {
            lines.push_str(&entry.to_string());
            lines.push('\n');
        }
    }
    let prompt = |asked: &Asked| json!({"id": asked.id, "conversation": asked.conversation});
    let prompts = json!({"answered": prompt(&answered), "failed": prompt(&failed), "dead": prompt(&dead),
        "stored": prompt(&stored), "queued": prompt(&queued), "waiting": prompt(&waiting),
        "pushed": {"conversation": "pushed"}});
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::write(folder().join("entries.ndjson"), lines).unwrap();
    std::fs::write(folder().join("prompts.json"), format!("{prompts:#}\n")).unwrap();
    // A recording must not fade; only the lease of the relay that made it is nobody's any more.
    let _: i64 = world.redis(redis::cmd("DEL").arg(format!("{{{NAMESPACE}}}:intake:lease"))).await;
    for key in world.redis::<Vec<String>>(redis::cmd("KEYS").arg("*")).await {
        let _: i64 = world.redis(redis::cmd("PERSIST").arg(key)).await;
    }
    let _: String = world.redis(&redis::cmd("SAVE")).await;
    std::fs::copy(redis.folder().join("dump.rdb"), folder().join("dump.rdb")).unwrap();
}

async fn due(world: &World) -> usize {
    world.redis(redis::cmd("ZCARD").arg(format!("{{{NAMESPACE}}}:due"))).await
}
