//! Reading stage streams as one consumer of the group.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::Mutex;

use super::connection::Dedicated;
use super::delivery::{Delivery, Stream};
use super::keys::Keys;
use super::script::{Move, script, with_keys};
use super::{Store, StoreError};
use crate::runtime::millis;

static RETIRE: Move = script!("retire");

/// One consumer of one stream, with a connection of its own for the blocking reads.
pub struct Consumer {
    store: Store,
    stream: Stream,
    name: Arc<str>,
    connection: Option<Dedicated>,
}

impl Consumer {
    /// A consumer; `name` is unique per process start.
    pub fn new(store: Store, stream: Stream, name: &str) -> Self {
        Self { store, stream, name: name.into(), connection: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads at most `count` new entries, waiting at most `block` for the first. A lost group is made again at 0: nothing
    /// that was not delivered is skipped.
    pub async fn read(&mut self, count: usize, block: Duration) -> Result<Vec<Delivery>, StoreError> {
        self.store.fits().await?;
        // Taken out for the time of the read: whatever interrupts it also drops the connection, so that no reply moves
        // entries to a consumer that does not listen.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.store.redis.dedicated(self.key(), block).await?,
        };
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(Keys::GROUP).arg(self.name()).arg("COUNT").arg(count);
        command.arg("BLOCK").arg(millis(block).max(1)).arg("STREAMS").arg(self.key()).arg(">");
        match connection.query::<Option<Vec<(String, Vec<Value>)>>>(&command).await {
            Ok(reply) => {
                self.connection = Some(connection);
                let entries = reply.into_iter().flatten().flat_map(|(_, entries)| entries);
                Ok(entries.filter_map(|entry| self.delivery(entry)).collect())
            }
            Err(StoreError::NoGroup) => {
                self.connection = Some(connection);
                self.make_group().await?;
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes over at most `count` entries that nobody renewed for `idle`.
    pub async fn claim(&self, count: usize, idle: Duration) -> Result<Vec<Delivery>, StoreError> {
        self.store.fits().await?;
        let mut pending = redis::cmd("XPENDING");
        pending.arg(self.key()).arg(Keys::GROUP).arg("IDLE").arg(millis(idle)).arg("-").arg("+").arg(count);
        let abandoned: Vec<(String, String, u64, u64)> = match self.store.redis.query(&pending).await {
            Ok(abandoned) => abandoned,
            Err(StoreError::NoGroup) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if abandoned.is_empty() {
            return Ok(Vec::new());
        }
        let before: HashMap<&str, u64> = abandoned.iter().map(|(id, _, _, times)| (id.as_str(), *times)).collect();
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(self.key()).arg(Keys::GROUP).arg(self.name()).arg(millis(idle));
        for id in before.keys() {
            claim.arg(id);
        }
        let claimed: Vec<Value> = self.store.redis.query(&claim).await?;
        let mut claimed: Vec<Delivery> = claimed.into_iter().filter_map(|entry| self.delivery(entry)).collect();
        if claimed.len() < before.len() {
            let missing = before.keys().filter(|id| claimed.iter().all(|delivery| delivery.id != **id));
            self.forget_deleted(missing.copied()).await?;
        }
        claimed.sort_by_key(|delivery| position(&delivery.id));
        for delivery in &mut claimed {
            delivery.deliveries = before.get(delivery.id.as_str()).map_or(1, |times| times + 1);
        }
        Ok(claimed)
    }

    /// Ends entries that are pending and not in the stream any more: before Redis 7 a claim leaves them pending for ever.
    async fn forget_deleted(&self, ids: impl Iterator<Item = &str>) -> Result<(), StoreError> {
        for id in ids {
            let mut range = redis::cmd("XRANGE");
            range.arg(self.key()).arg(id).arg(id);
            let found: Vec<Value> = self.store.redis.query(&range).await?;
            if found.is_empty() {
                let mut ack = redis::cmd("XACK");
                ack.arg(self.key()).arg(Keys::GROUP).arg(id);
                self.store.redis.query::<usize>(&ack).await?;
            }
        }
        Ok(())
    }

    /// Creates the stream and its group where they are missing.
    pub async fn make_group(&self) -> Result<(), StoreError> {
        let mut command = redis::cmd("XGROUP");
        command.arg("CREATE").arg(self.key()).arg(Keys::GROUP).arg("0").arg("MKSTREAM");
        match self.store.redis.query::<()>(&command).await {
            Err(StoreError::Refused(error)) if error.code() == Some("BUSYGROUP") => Ok(()),
            other => other,
        }
    }

    /// Removes consumers that hold nothing: this one when it ends, and those of processes that died long ago.
    pub async fn retire(&self, name: &str) -> Result<bool, StoreError> {
        let mut call = with_keys(&RETIRE, &[self.key()]);
        call.arg(name);
        self.store.reply(&call).await
    }

    /// Names of consumers of this stream that have not been seen for `idle`.
    pub async fn forgotten(&self, idle: Duration) -> Result<Vec<String>, StoreError> {
        let mut command = redis::cmd("XINFO");
        command.arg("CONSUMERS").arg(self.key()).arg(Keys::GROUP);
        let reply: redis::streams::StreamInfoConsumersReply = self.store.redis.query(&command).await?;
        let limit = usize::try_from(millis(idle)).unwrap_or(usize::MAX);
        Ok(reply.consumers.into_iter().filter(|one| one.idle > limit).map(|one| one.name).collect())
    }

    fn key(&self) -> &str {
        self.stream.key(&self.store.keys)
    }

    /// An entry as it was delivered first; `None` for one that was deleted. Others name the fields of what they push: whatever bytes
    /// these are, the entry is one.
    fn delivery(&self, entry: Value) -> Option<Delivery> {
        type Fields = Vec<(Vec<u8>, Vec<u8>)>;
        let (id, fields): (String, Fields) = redis::from_redis_value(entry).ok()?;
        let fields = fields.into_iter().map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), value));
        Some(Delivery {
            stream: self.stream,
            id,
            consumer: self.name.clone(),
            deliveries: 1,
            fields: fields.collect(),
            in_hand: Mutex::default(),
        })
    }
}

/// A stream id as something that sorts.
fn position(id: &str) -> (u64, u64) {
    let (time, sequence) = id.split_once('-').unwrap_or((id, "0"));
    (time.parse().unwrap_or_default(), sequence.parse().unwrap_or_default())
}
