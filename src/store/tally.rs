//! One look at the whole relay: what came out, and what is left.

use std::collections::HashMap;

use redis::{Value, from_redis_value_ref};

use super::{Store, StoreError};

/// How things stand. Counts of all replicas together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Entries ever written to `{N}:answers`: ends of prompts, and `omni.delayed`.
    pub answers: u64,
    /// Prompts that are accepted and neither ended nor dead.
    pub waiting: u64,
    /// Open dead letters.
    pub dead: u64,
}

impl Store {
    /// Looks.
    pub async fn tally(&self) -> Result<Tally, StoreError> {
        let (mut stream, mut dead) = (redis::cmd("XINFO"), redis::cmd("ZCARD"));
        stream.arg("STREAM").arg(&self.keys.answers);
        dead.arg(&self.keys.dead);
        // Before Redis 7 nobody counts them.
        let answers = match self.redis.query::<HashMap<String, Value>>(&stream).await {
            Ok(info) => info.get("entries-added").and_then(|added| from_redis_value_ref(added).ok()).unwrap_or(0),
            Err(error) if error.is_missing_key() => 0,
            Err(error) => return Err(error),
        };
        let dead = self.redis.query(&dead).await?;
        Ok(Tally { answers, waiting: self.backlog().await?.prompts, dead })
    }
}
