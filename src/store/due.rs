//! promote: what had to wait goes back to its stage.

use super::script::{Move, script, unexpected, with_keys};
use super::{Store, StoreError};

static PROMOTE: Move = script!("promote");

/// What one look at `due` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promoted {
    /// How many entries went back.
    pub count: usize,
    /// When the next one is due, unix milliseconds.
    pub next: Option<u64>,
}

impl Store {
    /// Moves at most `limit` due entries back to their stages. Several replicas may do so at once.
    pub async fn promote(&self, now: u64, limit: usize) -> Result<Promoted, StoreError> {
        let keys = &self.keys;
        let mut call = with_keys(&PROMOTE, &[&keys.due, &keys.due_entries, &keys.prompts, &keys.inbox]);
        call.arg(now).arg(limit);
        let (count, next): (usize, String) = self.reply(&call).await?;
        let next = if next.is_empty() { None } else { Some(next.parse::<f64>().map_err(|_| unexpected())?) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scores are unix milliseconds")]
        Ok(Promoted { count, next: next.map(|score| score as u64) })
    }
}
