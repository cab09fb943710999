//! Reading a conversation's stream.

use redis::streams::StreamRangeReply;
use serde_json::value::RawValue;

use super::{Store, StoreError};
use crate::model::Conversation;
use crate::model::entry::TRACE;
use crate::model::entry::to_cloud_event;
use crate::runtime::TraceContext;

/// One entry as it stands in the stream.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its id in the stream.
    pub id: String,
    /// The CloudEvents `type`.
    pub kind: String,
    /// Its fields as they stand.
    pub fields: Vec<(String, String)>,
    /// The CloudEvent as JSON.
    pub event: Box<RawValue>,
}

impl Stored {
    /// The CloudEvents `id`: `<promptId>:<type>`.
    pub fn name(&self) -> &str {
        self.fields.iter().find(|(name, _)| name == "id").map(|(_, id)| id.as_str()).unwrap_or_default()
    }

    /// The trace it was published under.
    pub fn trace(&self) -> Option<TraceContext> {
        let (_, trace) = self.fields.iter().find(|(name, _)| name == TRACE)?;
        TraceContext::parse(trace)
    }
}

impl Store {
    /// At most `count` entries after `after` (`0` from the beginning), oldest first.
    pub async fn entries(
        &self,
        conversation: &Conversation,
        after: &str,
        count: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.range(conversation, &format!("({after}"), "+", count).await
    }

    /// The newest entries, at most `count`, oldest first.
    pub async fn newest(&self, conversation: &Conversation, count: usize) -> Result<Vec<Stored>, StoreError> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(self.keys.conversation(conversation)).arg("+").arg("-").arg("COUNT").arg(count);
        let reply: StreamRangeReply = self.redis.query(&command).await?;
        reply.ids.into_iter().rev().map(|entry| stored(&entry)).collect()
    }

    /// One entry by its id in the stream.
    pub async fn entry(&self, conversation: &Conversation, id: &str) -> Result<Option<Stored>, StoreError> {
        Ok(self.range(conversation, id, id, 1).await?.pop())
    }

    /// The oldest and the newest id that are kept; `None` for an empty stream.
    pub async fn bounds(&self, conversation: &Conversation) -> Result<Option<(String, String)>, StoreError> {
        let key = self.keys.conversation(conversation);
        let mut newest = redis::cmd("XREVRANGE");
        newest.arg(&key).arg("+").arg("-").arg("COUNT").arg(1);
        let newest: StreamRangeReply = self.redis.query(&newest).await?;
        let oldest = self.range(conversation, "-", "+", 1).await?.pop();
        Ok(oldest.zip(newest.ids.into_iter().next()).map(|(oldest, newest)| (oldest.id, newest.id)))
    }

    async fn range(
        &self,
        conversation: &Conversation,
        from: &str,
        to: &str,
        count: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(self.keys.conversation(conversation)).arg(from).arg(to).arg("COUNT").arg(count);
        let reply: StreamRangeReply = self.redis.query(&command).await?;
        reply.ids.into_iter().map(|entry| stored(&entry)).collect()
    }
}

pub(super) fn stored(entry: &redis::streams::StreamId) -> Result<Stored, StoreError> {
    const WHAT: StoreError = StoreError::Corrupt { what: "an entry of a conversation" };
    let mut fields = Vec::with_capacity(entry.map.len());
    for (name, value) in &entry.map {
        let redis::Value::BulkString(bytes) = value else { return Err(WHAT) };
        fields.push((name.clone(), String::from_utf8(bytes.clone()).map_err(|_| WHAT)?));
    }
    let kind = fields.iter().find(|(name, _)| name == "type").map(|(_, value)| value.clone()).ok_or(WHAT)?;
    let event = to_cloud_event(fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))).ok_or(WHAT)?;
    Ok(Stored { id: entry.id.clone(), kind, fields, event })
}
