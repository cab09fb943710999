//! What the overview draws: a look at the whole relay every few seconds, kept for a quarter of an hour.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::runtime::Stop;
use crate::store::Store;
use crate::store::tally::Tally;

/// Pause between two looks.
pub(super) const STEP: Duration = Duration::from_secs(5);
/// Looks that are kept.
const KEPT: usize = 180;

/// The looks of this process. They are its own: a restart begins anew.
#[derive(Debug, Default)]
pub struct Series(Mutex<VecDeque<Tally>>);

impl Series {
    /// Looks until the stop. While Redis is away nothing is added.
    pub async fn run(&self, store: Store, stop: Stop) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(STEP) => {}
                () = stop.requested() => return,
            }
            if let Ok(tally) = store.tally().await {
                let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == KEPT {
                    kept.pop_front();
                }
                kept.push_back(tally);
            }
        }
    }

    /// From the oldest to the newest.
    pub(super) fn looks(&self) -> Vec<Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
