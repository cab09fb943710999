//! A connection for blocking reads.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};

use super::Redis;
use super::node::Node;
use crate::store::StoreError;

/// A connection of its own, to the node that holds one key. Drop it on any error that passes: a reply nobody waits for would
/// still move entries, and the key may be elsewhere by now.
pub struct Dedicated {
    pub(super) redis: Redis,
    pub(super) node: Arc<Node>,
    /// Of the node, when this was opened.
    pub(super) moves: u64,
    pub(super) connection: MultiplexedConnection,
}

impl Dedicated {
    /// Runs one command; fails when another master was elected meanwhile.
    pub async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, StoreError> {
        if self.node.moves() != self.moves {
            return Err(StoreError::Unavailable(None));
        }
        let result = command.query_async(&mut self.connection).await.map_err(StoreError::from);
        if let Err(error) = &result {
            self.redis.doubt(error).await;
        }
        result
    }
}
