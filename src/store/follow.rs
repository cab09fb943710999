//! Following a stream from outside: its history, then what comes.

use std::time::Duration;

use redis::streams::{StreamRangeReply, StreamReadReply};

use super::connection::{Dedicated, Redis};
use super::conversation::{Stored, stored};
use super::{Store, StoreError};
use crate::model::Conversation;

/// Longest wait of one read.
const BLOCK: Duration = Duration::from_secs(1);
const COUNT: usize = 100;

/// A place in a stream, and a connection of its own to wait there. Belongs to no group: takes nothing from anybody.
pub struct Follower {
    redis: Redis,
    key: String,
    after: Option<String>,
    connection: Option<Dedicated>,
}

impl Store {
    /// Follows a conversation, or without one `answers`, from behind the entry `after`: `0` all that is kept, `$` only
    /// what comes.
    pub fn follow(&self, conversation: Option<&Conversation>, after: &str) -> Follower {
        Follower {
            redis: self.redis.clone(),
            key: conversation.map_or_else(|| self.keys.answers.clone(), |name| self.keys.conversation(name)),
            after: (after != "$").then(|| after.to_owned()),
            connection: None,
        }
    }
}

impl Follower {
    /// The next entries, oldest first; none when a second passed without. May be called again after an error.
    pub async fn next(&mut self) -> Result<Vec<Stored>, StoreError> {
        let after = match &self.after {
            Some(after) => after.clone(),
            None => self.end().await?,
        };
        self.after = Some(after.clone());
        // Taken out for the time of the read: a connection that erred leads nowhere.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.redis.dedicated(&self.key, BLOCK).await?,
        };
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK.as_secs() * 1000);
        command.arg("STREAMS").arg(&self.key).arg(&after);
        let reply: Option<StreamReadReply> = connection.query(&command).await?;
        self.connection = Some(connection);
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let entries: Vec<Stored> = entries.map(|entry| stored(&entry)).collect::<Result<_, _>>()?;
        if let Some(last) = entries.last() {
            self.after = Some(last.id.clone());
        }
        Ok(entries)
    }

    /// The newest id, so that `$` means the same place in every read.
    async fn end(&self) -> Result<String, StoreError> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(&self.key).arg("+").arg("-").arg("COUNT").arg(1);
        let reply: StreamRangeReply = self.redis.query(&command).await?;
        Ok(reply.ids.into_iter().next().map_or_else(|| "0".to_owned(), |entry| entry.id))
    }
}
