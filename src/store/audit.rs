//! The audit: who changed what, the newest first. Each change's script writes its entry.

use std::fmt;
use std::str::FromStr;

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
    /// A place to go on from.
    #[serde(skip)]
    pub place: Place,
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
    /// At most `count` changes before a place, else from the end, the newest first; and the place before which the next page
    /// is, where there is one.
    pub async fn audit(
        &self,
        before: Option<Place>,
        count: usize,
    ) -> Result<(Vec<Audited>, Option<Place>), StoreError> {
        // Redis takes it for an error to ask for what is before everything.
        if before == Some(Place::default()) {
            return Ok((Vec::new(), None));
        }
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.keys.audit).arg(before.map_or_else(|| "+".to_owned(), |place| format!("({place}")));
        command.arg("-").arg("COUNT").arg(count + 1);
        let reply: StreamRangeReply = self.redis.query(&command).await?;
        let more = reply.ids.len() > count;
        let changes: Vec<Audited> = reply.ids.iter().take(count).map(audited).collect();
        let next = changes.last().filter(|_| more).map(|last| last.place);
        Ok((changes, next))
    }
}

pub(super) fn audited(entry: &StreamId) -> Audited {
    let text = |name: &str| entry.get::<String>(name).unwrap_or_default();
    let details = entry.get::<String>("details").and_then(|text| RawValue::from_string(text).ok());
    let (who, what, id) = (text("who"), text("what"), text("id"));
    Audited { at: at(&entry.id), place: entry.id.parse().unwrap_or_default(), who, what, id, details }
}

/// The time in an entry's id.
pub fn at(entry: &str) -> Timestamp {
    let milliseconds = entry.split('-').next().and_then(|text| text.parse().ok());
    milliseconds.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The place of a change: `<milliseconds>-<sequence>`, its entry's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    millis: u64,
    sequence: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or(())
        };
        let (millis, sequence) = text.split_once('-').ok_or(())?;
        Ok(Self { millis: number(millis)?, sequence: number(sequence)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_entry_s_id_and_no_word_with_a_meaning_to_redis() {
        for id in ["0-0", "1795603747201-3", "18446744073709551615-0"] {
            assert_eq!(id.parse::<Place>().unwrap().to_string(), id);
        }
        for wrong in ["", "-", "+", "1", "1-", "-1", "(1-0", "+1-0", "1-0-0", "18446744073709551616-0", "1-x"] {
            assert_eq!(wrong.parse::<Place>(), Err(()), "{wrong}");
        }
    }
}
