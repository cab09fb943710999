//! cancel: takes the wish of whoever asked. Leaves behind the prompt's end where Omni has nothing of it, a mark and a
//! check that is due where it has. Safe to repeat because the prompt's phase is checked in the same script.

use std::time::Duration;

use tracing::info;

use crate::runtime::{Clock, millis};
use crate::store::cancel::Cancelled;
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// Cancels prompts.
#[derive(Clone)]
pub struct Canceller {
    store: Store,
    clock: Clock,
    check_after: Duration,
}

impl Canceller {
    /// A canceller. `check_after` is when to look at a prompt whose end does not come out by itself.
    pub const fn new(store: Store, clock: Clock, check_after: Duration) -> Self {
        Self { store, clock, check_after }
    }

    /// Cancels; `who` is for the audit.
    pub async fn cancel(&self, record: &Record, who: &str) -> Result<Cancelled, StoreError> {
        let now = self.clock.now_ms();
        let next_check = now.saturating_add(millis(self.check_after));
        let cancelled = self.store.cancel(record, who, now, next_check).await?;
        let outcome = match cancelled {
            Cancelled::Ended => "ended",
            Cancelled::Requested => "requested",
            Cancelled::TooLate(_) | Cancelled::Missing => "too_late",
        };
        info!(prompt.id = %record.id, who, outcome, "cancel");
        metrics::counter!("omni_relay_decisions_total", "action" => "cancel", "outcome" => outcome).increment(1);
        Ok(cancelled)
    }
}
