//! Looking at everything in Redis at once.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamPendingReply, StreamRangeReply};
use redis::{AsyncConnectionConfig, FromRedisValue, RedisResult};
use serde_json::Value;

use super::bed::Bed;
use crate::world::event;

/// What there is, once nothing moves any more.
pub(super) struct Snapshot {
    /// By prompt.
    pub(super) records: BTreeMap<String, HashMap<String, String>>,
    /// By conversation: its entries and their ids in the stream.
    pub(super) conversations: BTreeMap<String, Vec<(String, Value)>>,
    pub(super) answers: Vec<Value>,
    /// Prompts whose files have no end of their own.
    pub(super) files: Vec<String>,
}

pub(super) struct Looker {
    connection: MultiplexedConnection,
    namespace: String,
}

impl Looker {
    pub(super) async fn new(bed: &Bed) -> RedisResult<Self> {
        let client = redis::Client::open(bed.redis_url.as_str())?;
        // On a busy machine a look at everything takes its time.
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
        let connection = client.get_multiplexed_async_connection_with_config(&patient).await?;
        Ok(Self { connection, namespace: bed.namespace.clone() })
    }

    fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.namespace)
    }

    async fn ask<T: FromRedisValue>(&mut self, name: &str, arguments: &[&str]) -> RedisResult<T> {
        redis::cmd(name).arg(arguments).query_async(&mut self.connection).await
    }

    async fn keys(&mut self) -> RedisResult<Vec<String>> {
        let pattern = format!("*{}*", self.namespace);
        let mut keys: Vec<String> = self.ask("KEYS", &[&pattern]).await?;
        keys.sort();
        Ok(keys)
    }

    /// Something that is still in work; open dead letters are not.
    pub(super) async fn loose_end(&mut self) -> RedisResult<Option<String>> {
        for stream in ["intake", "prompts", "inbox"] {
            let key = self.key(stream);
            let length: usize = self.ask("XLEN", &[&key]).await?;
            if length > 0 {
                return Ok(Some(format!("{length} entries in {stream}")));
            }
            let pending: RedisResult<StreamPendingReply> = self.ask("XPENDING", &[&key, "relay"]).await;
            let pending = pending.map_or(0, |pending| pending.count());
            if pending > 0 {
                return Ok(Some(format!("{pending} entries pending in {stream}")));
            }
        }
        for (command, name) in [("ZCARD", "due"), ("HLEN", "due:entries"), ("ZCARD", "turns"), ("ZCARD", "deadlines")] {
            let key = self.key(name);
            let length: usize = self.ask(command, &[&key]).await?;
            if length > 0 {
                return Ok(Some(format!("{length} members of {name}")));
            }
        }
        let keys = self.keys().await?;
        if let Some(key) = keys.iter().find(|key| key.contains("}:waiting:") || key.contains("}:ready:")) {
            return Ok(Some(format!("{key} is not empty")));
        }
        let slots: Vec<&String> = keys.iter().filter(|key| key.contains("}:slot:")).collect();
        for (key, active) in slots.iter().zip(self.fields::<Option<String>>(&slots, "active").await?) {
            if let Some(active) = active {
                return Ok(Some(format!("{key} is held by {active}")));
            }
        }
        let records: Vec<&String> = keys.iter().filter(|key| key.contains("}:prompt:")).collect();
        for (key, phase) in records.iter().zip(self.fields::<Option<String>>(&records, "phase").await?) {
            let phase = phase.unwrap_or_default();
            if !matches!(phase.as_str(), "answered" | "failed" | "cancelled" | "expired" | "dead") {
                return Ok(Some(format!("{key} is {phase}")));
            }
        }
        Ok(None)
    }

    async fn fields<T: FromRedisValue>(&mut self, keys: &[&String], field: &str) -> RedisResult<Vec<T>> {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.hget(key, field);
        }
        pipe.query_async(&mut self.connection).await
    }

    pub(super) async fn snapshot(&mut self) -> RedisResult<Snapshot> {
        let (mut records, mut conversations, mut files) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for key in self.keys().await? {
            if let Some(id) = key.split("}:prompt:").nth(1) {
                records.insert(id.to_owned(), self.ask("HGETALL", &[&key]).await?);
            } else if let Some(name) = key.split(":conversation:{").nth(1).and_then(|rest| rest.strip_suffix('}')) {
                conversations.insert(name.to_owned(), self.stream(&key).await?);
            } else if let Some((_, id)) = key.split_once(":attachment:{")
                && self.ask::<i64>("PTTL", &[&key]).await? == -1
            {
                files.push(id.trim_end_matches('}').to_owned());
            }
        }
        let key = self.key("answers");
        let answers = self.stream(&key).await?.into_iter().map(|(_, event)| event).collect();
        Ok(Snapshot { records, conversations, answers, files })
    }

    async fn stream(&mut self, key: &str) -> RedisResult<Vec<(String, Value)>> {
        let reply: StreamRangeReply = self.ask("XRANGE", &[key, "-", "+"]).await?;
        Ok(reply.ids.into_iter().map(|entry| (entry.id, event(&entry.map))).collect())
    }
}
