//! The audit: who changed what, the newest first. Each change's script writes its entry.

use jiff::Timestamp;
use redis::streams::{StreamId, StreamRangeReply};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Store, StoreError};

/// One change that somebody made.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct Audited {
    /// Its entry in the stream; a place to go on from.
    #[serde(skip)]
    pub entry: String,
    /// When, by the clock of Redis.
    pub at: Timestamp,
    /// Who: `http:<caller>`, `http`, `cli:<user>`, `cli`.
    pub who: String,
    /// What they did: `cancel`, `replay`, `discard`, `pause`, `resume`, …
    pub what: String,
    /// To what.
    pub id: String,
    /// More, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<Box<RawValue>>,
}

impl Store {
    /// At most `count` changes before `before` (an entry; else the newest), the newest first.
    pub async fn audit(&self, before: Option<&str>, count: usize) -> Result<Vec<Audited>, StoreError> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.keys.audit).arg(before.map_or_else(|| "+".to_owned(), |entry| format!("({entry}")));
        command.arg("-").arg("COUNT").arg(count);
        let reply: StreamRangeReply = self.redis.query(&command).await?;
        Ok(reply.ids.into_iter().map(audited).collect())
    }
}

pub(super) fn audited(entry: StreamId) -> Audited {
    let text = |name: &str| entry.get::<String>(name).unwrap_or_default();
    let details = entry.get::<String>("details").and_then(|text| RawValue::from_string(text).ok());
    let (who, what, id) = (text("who"), text("what"), text("id"));
    Audited { at: at(&entry.id), entry: entry.id, who, what, id, details }
}

/// The time in an entry's id.
pub fn at(entry: &str) -> Timestamp {
    let milliseconds = entry.split('-').next().and_then(|text| text.parse().ok());
    milliseconds.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Whether it is an entry's id, and not a word with a meaning to Redis.
pub fn is_entry(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(time, sequence)| number(time) && number(sequence))
}
