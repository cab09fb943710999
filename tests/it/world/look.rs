//! Looking at what happened: entries, prompts, keys.

use std::collections::HashMap;
use std::time::Duration;

use redis::FromRedisValue;
use redis::streams::StreamRangeReply;
use serde_json::Value;
use tokio::time::Instant;

use super::{Asked, PATIENCE, World};
use crate::contract::Contract;

impl World {
    /// Runs a command on the world's Redis, on a connection of its own.
    pub(crate) async fn redis<T: FromRedisValue>(&self, command: &redis::Cmd) -> T {
        crate::redis::run(&self.redis_url, command).await
    }

    /// The entries of a conversation as CloudEvents.
    pub(crate) async fn entries(&self, conversation: &str) -> Vec<Value> {
        self.stream(&format!("{}:conversation:{{{conversation}}}", self.namespace)).await
    }

    /// The entries for worker pools.
    pub(crate) async fn answers(&self) -> Vec<Value> {
        self.stream(&format!("{{{}}}:answers", self.namespace)).await
    }

    async fn stream(&self, key: &str) -> Vec<Value> {
        let mut command = redis::cmd("XRANGE");
        command.arg(key).arg("-").arg("+");
        let reply: StreamRangeReply = self.redis(&command).await;
        let contract = Contract::of(&self.url).await;
        let entries = reply.ids.into_iter().map(|entry| (fields(&entry.map), event(&entry.map)));
        entries.inspect(|(fields, event)| contract.check_entry(fields, event)).map(|(_, event)| event).collect()
    }

    /// The terminal entry of a prompt, waited for.
    pub(crate) async fn eventually_ends(&self, asked: &Asked) -> Value {
        let what = format!("prompt {} ends", asked.id);
        eventually(&what, async || {
            let entries = self.entries(&asked.conversation).await;
            entries.into_iter().find(|entry| entry["data"]["promptId"] == asked.id.as_str() && is_terminal(entry))
        })
        .await
    }

    /// The answer of a prompt, waited for.
    pub(crate) async fn eventually_answered(&self, asked: &Asked) -> Value {
        let entry = self.eventually_ends(asked).await;
        assert_eq!(entry["type"], "omni.answer", "{entry}");
        entry
    }

    /// Waits until a prompt's record is in a phase.
    pub(crate) async fn eventually_in(&self, asked: &Asked, phase: &str) {
        let what = format!("prompt {} is {phase}", asked.id);
        eventually(&what, async || (self.phase(&asked.id).await.as_deref() == Some(phase)).then_some(())).await;
    }

    /// Waits until one entry of a stage's stream, and no more, is in a handler's hands.
    pub(crate) async fn eventually_in_hand(&self, stream: &str) {
        let mut pending = redis::cmd("XPENDING");
        pending.arg(format!("{{{}}}:{stream}", self.namespace)).arg("relay");
        eventually("somebody has it in hand", async || {
            let pending: redis::streams::StreamPendingReply = self.redis(&pending).await;
            (pending.count() == 1).then_some(())
        })
        .await;
    }

    pub(crate) async fn phase(&self, prompt_id: &str) -> Option<String> {
        self.record(prompt_id).await.remove("phase")
    }

    pub(crate) async fn record(&self, prompt_id: &str) -> HashMap<String, String> {
        let mut command = redis::cmd("HGETALL");
        command.arg(format!("{{{}}}:prompt:{prompt_id}", self.namespace));
        self.redis(&command).await
    }

    /// A dead letter's fields.
    pub(crate) async fn letter(&self, id: &str) -> HashMap<String, String> {
        let mut command = redis::cmd("HGETALL");
        command.arg(format!("{{{}}}:dead:{id}", self.namespace));
        self.redis(&command).await
    }

    /// The ids of dead letters.
    pub(crate) async fn letters(&self) -> Vec<String> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(format!("{{{}}}:dead", self.namespace)).arg(0).arg(-1);
        self.redis(&command).await
    }

    /// Every key of the namespace.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let mut command = redis::cmd("KEYS");
        command.arg(format!("*{}*", self.namespace));
        let mut keys: Vec<String> = self.redis(&command).await;
        keys.sort();
        keys
    }
}

/// An entry's fields as they stand.
fn fields(fields: &HashMap<String, redis::Value>) -> Value {
    let text = |value: &redis::Value| -> String { redis::from_redis_value(value.clone()).unwrap() };
    fields.iter().map(|(name, value)| (name.clone(), Value::from(text(value)))).collect()
}

/// An entry's fields as the CloudEvent they are.
pub(crate) fn event(entry: &HashMap<String, redis::Value>) -> Value {
    let mut event = fields(entry);
    event["data"] = serde_json::from_str(event["data"].as_str().expect("data")).expect("data is JSON");
    event
}

pub(crate) fn is_terminal(entry: &Value) -> bool {
    matches!(entry["type"].as_str(), Some("omni.answer" | "omni.failed" | "omni.cancelled" | "omni.expired"))
}

/// Looks until there is something to see.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// The same with another patience.
pub(crate) async fn within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "it did not come about that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
