//! A connection for blocking reads.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};

use super::Redis;
use crate::store::StoreError;

/// A connection of its own, to the node that holds one key. Drop it on any error that passes: a reply nobody waits for would
/// still move entries, and the key may be elsewhere by now.
pub struct Dedicated {
    pub(super) redis: Redis,
    pub(super) connection: MultiplexedConnection,
}

impl Dedicated {
    /// Runs one command.
    pub async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, StoreError> {
        let result = command.query_async(&mut self.connection).await.map_err(StoreError::from);
        if let Err(error) = &result {
            self.redis.doubt(error).await;
        }
        result
    }
}
