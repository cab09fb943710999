//! What holds at the end of every story: nothing in work, no slot held, no files of whoever has ended, every prompt ended
//! once and in order.

use std::collections::BTreeMap;

use serde_json::Value;

use super::World;
use super::look::{eventually, is_terminal};

pub(super) async fn promises(world: &World) {
    let mut last = String::new();
    let settled = tokio::time::timeout(std::time::Duration::from_secs(10), async {
        loop {
            match loose_end(world).await {
                None => return,
                Some(what) => last = what,
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(settled.await.is_ok(), "the story ends with a loose end: {last}");
    entries_are_in_order(world).await;
    eventually("workers saw every end once", async || answers_are_complete(world).await.then_some(())).await;
}

/// Something that is still in work.
async fn loose_end(world: &World) -> Option<String> {
    for stream in ["intake", "prompts", "inbox"] {
        let key = format!("{{{}}}:{stream}", world.namespace);
        let length: usize = world.redis(redis::cmd("XLEN").arg(&key)).await;
        if length > 0 {
            return Some(format!("{length} entries in {stream}"));
        }
    }
    for set in ["due", "turns", "deadlines"] {
        let length: usize = world.redis(redis::cmd("ZCARD").arg(format!("{{{}}}:{set}", world.namespace))).await;
        if length > 0 {
            return Some(format!("{length} members of {set}"));
        }
    }
    let backlog: BTreeMap<String, i64> =
        world.redis(redis::cmd("HGETALL").arg(format!("{{{}}}:backlog", world.namespace))).await;
    if !backlog.is_empty() {
        return Some(format!("a backlog of {backlog:?}"));
    }
    for key in world.keys().await {
        if key.contains("}:slot:") {
            let active: Option<String> = world.redis(redis::cmd("HGET").arg(&key).arg("active")).await;
            if let Some(active) = active {
                return Some(format!("{key} is held by {active}"));
            }
        }
        if key.contains("}:waiting:") || key.contains("}:ready:") {
            return Some(format!("{key} is not empty"));
        }
        if let Some(id) = attached_to(&key)
            && world.phase(id).await.as_deref() != Some("dead")
        {
            return Some(format!("{key} is left behind"));
        }
        if let Some(id) = key.split("}:prompt:").nth(1) {
            let phase = world.phase(id).await.unwrap_or_default();
            if !matches!(phase.as_str(), "answered" | "failed" | "cancelled" | "expired" | "dead") {
                return Some(format!("prompt {id} is {phase}"));
            }
        }
    }
    None
}

/// The prompt whose files a key holds.
fn attached_to(key: &str) -> Option<&str> {
    key.split_once(":attachment:{")?.1.strip_suffix('}')
}

/// P1 and P3: one terminal entry per prompt, after everything else of it.
async fn entries_are_in_order(world: &World) {
    let mut ends = BTreeMap::<String, usize>::new();
    for key in world.keys().await {
        let Some(conversation) = key.split(":conversation:{").nth(1).and_then(|rest| rest.strip_suffix('}')) else {
            continue;
        };
        let mut ranks = BTreeMap::<String, (usize, u64)>::new();
        for entry in world.entries(conversation).await {
            let id = super::text(&entry["data"], "promptId");
            let rank = rank(&entry);
            let before = ranks.insert(id.clone(), rank).unwrap_or((0, 0));
            assert!(rank > before, "{} stands after a later or equal entry of its prompt", entry["id"]);
            *ends.entry(id).or_default() += usize::from(is_terminal(&entry));
        }
    }
    for key in world.keys().await {
        let Some(id) = key.split("}:prompt:").nth(1) else { continue };
        if world.phase(id).await.as_deref() != Some("dead") {
            assert_eq!(ends.get(id), Some(&1), "terminal entries of prompt {id}");
        }
    }
}

async fn answers_are_complete(world: &World) -> bool {
    let mut seen = BTreeMap::<String, usize>::new();
    for entry in world.answers().await {
        *seen.entry(super::text(&entry, "id")).or_default() += 1;
    }
    assert!(seen.values().all(|times| *times == 1), "an entry stands twice in answers: {seen:?}");
    let mut complete = true;
    for key in world.keys().await {
        let Some(conversation) = key.split(":conversation:{").nth(1).and_then(|rest| rest.strip_suffix('}')) else {
            continue;
        };
        for entry in world.entries(conversation).await.iter().filter(|entry| is_terminal(entry)) {
            complete &= seen.contains_key(&super::text(entry, "id"));
        }
    }
    complete
}

/// Where an entry stands among those of its prompt; progress by its iteration, which its id names.
pub(crate) fn rank(entry: &Value) -> (usize, u64) {
    let rank = match entry["type"].as_str() {
        Some("omni.prompt.accepted") => 1,
        Some("omni.job.submitted") => 2,
        Some("omni.job.progress") => {
            let iteration = entry["data"]["progress"]["iteration"].as_u64().expect("an iteration");
            let id = format!("{}:omni.job.progress:{iteration}", super::text(&entry["data"], "promptId"));
            assert_eq!(entry["id"], id.as_str());
            return (2, 1 + iteration);
        }
        Some("omni.delayed") => 3,
        Some("omni.answer" | "omni.failed" | "omni.cancelled" | "omni.expired") => 9,
        other => panic!("an entry of type {other:?}"),
    };
    (rank, 0)
}
