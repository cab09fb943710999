//! Brings back what had to wait. Takes from `due`, leaves behind entries of the stages. Safe to repeat and to run twice:
//! a promotion is one script.

use std::time::Duration;

use crate::runtime::{Clock, Stop, chain, failpoint};
use crate::store::{Store, StoreError};

/// Longest pause between two looks: something may be deferred to an earlier time meanwhile.
const LOOK: Duration = Duration::from_millis(250);
/// Entries per look.
const BATCH: usize = 100;

/// Promotes until the stop.
pub async fn run(store: Store, clock: Clock, stop: Stop) -> Result<(), StoreError> {
    while !stop.is_requested() {
        let now = clock.now_ms();
        let promoted = store.promote(now, BATCH).await;
        if promoted.as_ref().is_ok_and(|promoted| promoted.count > 0) {
            failpoint::hit("due.promoted").await;
        }
        let pause = match promoted {
            Ok(promoted) if promoted.count == BATCH => Duration::ZERO,
            Ok(promoted) => {
                promoted.next.map_or(LOOK, |next| Duration::from_millis(next.saturating_sub(now).max(1)).min(LOOK))
            }
            Err(error) if error.passes() => LOOK,
            Err(error) => {
                tracing::error!(error = %chain(&error), "failed to promote");
                LOOK
            }
        };
        stop.pause(pause).await;
    }
    Ok(())
}
