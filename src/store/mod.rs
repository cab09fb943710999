//! Floor 2: the only speaker of Redis.
//!
//! Every key, its type and its life stand in [`keys`]. Every change is one script of `scripts/`, one file per group of
//! moves: [`accept`], [`submit`], [`inbox`], [`publish`], [`settle`], [`due`], [`reconcile`], [`dead`], [`runs`], [`cancel`]; what they
//! count stands in [`backlog`], what waits in [`lag`], whom Omni knows in [`users`], files that go along in [`attachments`], whose an
//! MCP session is in [`mcp`], what is paused in [`pauses`], who changed what in [`audit`]; what is left to tell of a prompt is
//! read in [`story`], how Redis is in [`state`] and, watched, in [`health`] and [`gauges`], which version stored it in [`shape`]. A
//! [`delivery::Delivery`] is work that is held and is consumed by settling it.
//! [`connection`] survives restarts,
//! dead connections and failovers.

pub mod accept;
pub mod attachments;
pub mod audit;
pub mod backlog;
pub mod budget;
pub mod cancel;
pub mod charts;
pub mod connection;
pub mod conversation;
pub mod dead;
pub mod delivery;
pub mod due;
pub mod embedded;
mod error;
pub mod follow;
pub mod gauges;
pub mod health;
pub mod inbox;
pub mod keys;
pub mod lag;
pub mod letters;
pub mod mcp;
pub mod pauses;
pub mod publish;
pub mod reconcile;
pub mod record;
mod risks;
pub mod runs;
mod script;
pub mod settle;
pub mod shape;
pub mod state;
pub mod story;
pub mod streams;
pub mod submit;
pub mod tally;
pub mod users;
pub mod wake;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

pub use error::StoreError;

use connection::Redis;
use keys::Keys;

/// Lives and limits of what the store keeps.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Of conversation streams, done marks and finished records.
    pub retention: Duration,
    /// Of entries in `answers`.
    pub answers_age: Duration,
    /// Most entries in `answers`.
    pub answers_len: u64,
    /// How many entries of `prompts` may stand unread before prompts wait for a turn.
    pub window: usize,
    /// When nothing new is accepted.
    pub backlog: backlog::Limit,
}

/// The store: cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) redis: Redis,
    pub(crate) keys: Arc<Keys>,
    pub(crate) policy: Arc<Policy>,
    /// The version of stored shapes that was seen last.
    shape: Arc<AtomicU32>,
}

impl Store {
    /// A store on `redis` in one namespace.
    pub fn new(redis: Redis, namespace: &str, policy: Policy) -> Self {
        let keys = Keys::new(namespace);
        let redis = redis.at_home(&keys.prompts);
        Self { redis, keys: Arc::new(keys), policy: Arc::new(policy), shape: Arc::default() }
    }

    /// The names of everything.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The connection, for probes.
    pub const fn redis(&self) -> &Redis {
        &self.redis
    }
}
