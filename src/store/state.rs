//! How Redis is, as a doctor sees it. Changes nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::streams::{StreamInfoConsumersReply, StreamPendingCountReply, StreamPendingReply, StreamRangeReply};

use super::delivery::Stream;
use super::keys::Keys;
use super::{Store, StoreError};
use crate::runtime::millis;

/// How much of `unhandled` is looked through.
const UNHANDLED: usize = 1000;
/// How many entries in work are shown of a stage.
const HELD: &str = "20";

/// How one stage's stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// Entries in it.
    pub length: usize,
    /// Those that are in work.
    pub pending: usize,
    /// Those that nobody has renewed for a while, and by whom they are held.
    pub stuck: usize,
    /// Consumers, each with how many entries it holds and how long it was not seen.
    pub consumers: Vec<(String, usize, Duration)>,
    /// The oldest entries that are in work.
    pub held: Vec<Held>,
}

/// An entry that is in work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id in the stream.
    pub entry: String,
    /// Who holds it.
    pub consumer: String,
    /// How long nobody has renewed it.
    pub idle: Duration,
    /// How often it was handed out.
    pub deliveries: usize,
}

impl Store {
    /// What Redis says of itself (`INFO`).
    pub async fn info(&self) -> Result<HashMap<String, String>, StoreError> {
        let text: String = self.redis.query(&redis::cmd("INFO")).await?;
        let facts = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Ok(facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// How long Redis takes to answer, of several tries the one in the middle.
    pub async fn latency(&self) -> Result<Duration, StoreError> {
        let mut times = Vec::new();
        for _ in 0..9 {
            let started = Instant::now();
            self.redis.query::<String>(&redis::cmd("PING")).await?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    /// Redis' clock, unix milliseconds.
    pub async fn time(&self) -> Result<u64, StoreError> {
        let (seconds, micros): (u64, u64) = self.redis.query(&redis::cmd("TIME")).await?;
        Ok(seconds * 1000 + micros / 1000)
    }

    /// How a stage's stream is; `None` where it has no group, which a relay makes. What nobody renewed for `idle` is stuck.
    pub async fn stream_state(&self, stream: Stream, idle: Duration) -> Result<Option<StreamState>, StoreError> {
        let key = stream.key(&self.keys);
        let on = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            command
        };
        let consumers = match self.redis.query(&on(&["XINFO", "CONSUMERS", key, Keys::GROUP])).await {
            Ok(StreamInfoConsumersReply { consumers }) => consumers,
            Err(StoreError::NoGroup) => return Ok(None),
            Err(StoreError::Refused(error)) if error.to_string().contains("no such key") => return Ok(None),
            Err(error) => return Err(error),
        };
        let pending: StreamPendingReply = self.redis.query(&on(&["XPENDING", key, Keys::GROUP])).await?;
        let idle = millis(idle).to_string();
        let stuck = on(&["XPENDING", key, Keys::GROUP, "IDLE", &idle, "-", "+", "1000"]);
        let stuck: Vec<redis::Value> = self.redis.query(&stuck).await?;
        let held: StreamPendingCountReply =
            self.redis.query(&on(&["XPENDING", key, Keys::GROUP, "-", "+", HELD])).await?;
        let seen = |idle: usize| Duration::from_millis(u64::try_from(idle).unwrap_or(u64::MAX));
        Ok(Some(StreamState {
            length: self.redis.query(&on(&["XLEN", key])).await?,
            pending: pending.count(),
            stuck: stuck.len(),
            consumers: consumers.into_iter().map(|one| (one.name, one.pending, seen(one.idle))).collect(),
            held: held
                .ids
                .into_iter()
                .map(|one| Held {
                    entry: one.id,
                    consumer: one.consumer,
                    idle: seen(one.last_delivered_ms),
                    deliveries: one.times_delivered,
                })
                .collect(),
        }))
    }

    /// Whether this body stands among the newest events that nobody understood.
    pub async fn is_unhandled(&self, body: &[u8]) -> Result<bool, StoreError> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.keys.unhandled).arg("+").arg("-").arg("COUNT").arg(UNHANDLED);
        let reply: StreamRangeReply = self.redis.query(&command).await?;
        Ok(reply.ids.iter().any(|entry| entry.get::<Vec<u8>>("body").is_some_and(|found| found == body)))
    }
}
