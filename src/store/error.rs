//! Why a move did not happen.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::shape::SHAPE;

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Redis cannot be reached, or does not answer in time. Whether the last command took effect is unknown; every move
    /// is safe to repeat.
    #[error("redis is unavailable")]
    Unavailable(#[source] Option<RedisError>),
    /// Redis answers, but not now: loading, failing over, moving slots, out of memory.
    #[error("redis is not ready")]
    NotReady(#[source] RedisError),
    /// Fewer replicas than demanded hold it: what the move wrote may stand, and may be lost with the master.
    #[error("too few replicas hold what was written")]
    NotReplicated,
    /// A newer version of the relay has stored here: nothing is moved, so that nothing is misread.
    #[error("redis holds what a newer version stored (shapes of version {stored}; this one reads {SHAPE})")]
    Newer {
        /// The version that stands there.
        stored: u32,
    },
    /// A consumer group is gone (flushed, or lost in a failover).
    #[error("the consumer group is gone")]
    NoGroup,
    /// Redis refused a command: missing rights, or a key of another type.
    #[error("redis refused a command")]
    Refused(#[source] RedisError),
    /// What is stored cannot be read.
    #[error("failed to read {what}")]
    Corrupt {
        /// What it was.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether waiting helps.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NotReady(_) | Self::NotReplicated | Self::Newer { .. })
    }

    /// Whether another connection may lead to a server that does it: this one is broken, or its server is no master.
    pub(super) fn leaves_server(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::NotReady(error) => DEMOTED.into_iter().any(|word| says(error, word)),
            _ => false,
        }
    }
}

/// What Redis says when it cannot do something now.
const PASSING: [&str; 10] = [
    "OOM",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "UNBLOCKED",
    "READONLY",
    "LOADING",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "max number of clients",
];

/// What a server says that is no master, or none any more.
const DEMOTED: [&str; 3] = ["READONLY", "MASTERDOWN", "UNBLOCKED"];

/// Before Redis 7 an error inside a script arrives as ERR, with the word in its text.
fn says(error: &RedisError, word: &str) -> bool {
    error.code() == Some(word) || error.detail().is_some_and(|detail| detail.contains(word))
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        if says(&error, "NOGROUP") {
            return Self::NoGroup;
        }
        if PASSING.into_iter().any(|word| says(&error, word)) || error.code() == Some("BUSY") {
            return Self::NotReady(error);
        }
        match error.kind() {
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Self::Unavailable(Some(error)),
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::Ask
                | ServerErrorKind::Moved,
            ) => Self::NotReady(error),
            _ if error.is_connection_dropped() || error.is_timeout() => Self::Unavailable(Some(error)),
            _ => Self::Refused(error),
        }
    }
}
