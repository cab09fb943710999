//! One look at the whole relay: what came out, and what is left.

use tokio::try_join;

use super::{Store, StoreError};
use crate::model::Phase;

/// How things stand. Counts of all replicas together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Prompts that were ever answered.
    pub answered: u64,
    /// Prompts that are accepted and neither ended nor dead.
    pub waiting: u64,
    /// Open dead letters.
    pub dead: u64,
}

impl Store {
    /// Looks.
    pub async fn tally(&self) -> Result<Tally, StoreError> {
        let (mut answered, mut dead) = (redis::cmd("HGET"), redis::cmd("ZCARD"));
        answered.arg(&self.keys.ended).arg(Phase::Answered.as_str());
        dead.arg(&self.keys.dead);
        let (answered, dead, backlog): (Option<u64>, _, _) =
            try_join!(self.redis.query(&answered), self.redis.query(&dead), self.backlog())?;
        Ok(Tally { answered: answered.unwrap_or(0), waiting: backlog.prompts, dead })
    }
}
