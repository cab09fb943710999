//! What waits in the streams of the stages: how much nobody has read, and how old the oldest is. Changes nothing.

use std::time::Duration;

use super::delivery::Stream;
use super::script::{Move, script, with_keys};
use super::{Store, StoreError};

static LAG: Move = script!("lag");

/// What waits in one stage's stream. What waits for its turn, for its conversation or for another attempt stands elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Of which stage.
    pub stage: &'static str,
    /// Entries that no worker has read.
    pub unread: u64,
    /// Since the oldest that is not settled was put there, read or not; zero where there is none.
    pub oldest: Duration,
}

impl Store {
    /// What waits, for each stage. XINFO's own lag is unknown once entries were deleted, and each that is settled is.
    pub async fn lags(&self) -> Result<[Lag; 3], StoreError> {
        let keys = Stream::ALL.map(|stream| stream.key(&self.keys));
        let seen: [(u64, u64); 3] = self.reply(&with_keys(&LAG, &keys)).await?;
        let lag = |at: usize| Lag {
            stage: Stream::ALL[at].stage(),
            unread: seen[at].0,
            oldest: Duration::from_millis(seen[at].1),
        };
        Ok([lag(0), lag(1), lag(2)])
    }
}
