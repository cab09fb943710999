//! How much a worker takes on, and how long it keeps trying.

use std::time::Duration;

use crate::model::Backoff;

/// How a worker behaves.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries in work at once.
    pub handlers: usize,
    /// An entry that nobody renewed for this long is abandoned.
    pub claim_after: Duration,
    /// Longest time an entry may spend waiting.
    pub max_wait: Duration,
    /// What follows a failed attempt.
    pub backoff: Backoff,
}
