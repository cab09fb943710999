//! Shows what is in work at all replicas: the backlog, dead letters, the streams of the stages.

use std::time::Duration;

use super::{Store, StoreError};
use crate::runtime::{Clock, Stop};

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks until the stop. While Redis is away, what was seen last stays.
pub async fn run(store: Store, clock: Clock, stop: Stop) -> Result<(), StoreError> {
    while !stop.is_requested() {
        if let Ok(backlog) = store.backlog().await {
            metrics::gauge!("omni_relay_backlog_prompts").set(gauged(backlog.prompts));
            metrics::gauge!("omni_relay_backlog_bytes").set(gauged(backlog.bytes));
        }
        if let Ok((open, oldest)) = store.open_letters().await {
            let age = oldest.map_or(0.0, |oldest| clock.now().duration_since(oldest).as_secs_f64().max(0.0));
            metrics::gauge!("omni_relay_dead_letters_open").set(gauged(open));
            metrics::gauge!("omni_relay_dead_letter_oldest_age_seconds").set(age);
        }
        if let Ok(lags) = store.lags().await {
            for lag in lags {
                metrics::gauge!("omni_relay_stage_lag_entries", "stage" => lag.stage).set(gauged(lag.unread));
                metrics::gauge!("omni_relay_stage_oldest_age_seconds", "stage" => lag.stage).set(lag.oldest);
            }
        }
        stop.pause(LOOK).await;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2⁵³ nobody looks at the last digit")]
const fn gauged(number: u64) -> f64 {
    number as f64
}
