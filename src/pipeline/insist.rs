//! Repeats a move while Redis is away, where what it takes is in hand and could not be had again, or only at the price of
//! another request to Omni.

use std::time::Duration;

use tracing::debug;

use crate::runtime::chain;
use crate::store::StoreError;

/// Pause between attempts while Redis is away.
pub(super) const AWAY: Duration = Duration::from_millis(200);

/// Until Redis answers, or for as long as it `goes_on`. `attempt` is safe to repeat.
pub(super) async fn insist<T, F>(goes_on: impl Fn() -> bool, attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match attempt().await {
            Err(error) if error.passes() && goes_on() => {
                debug!(error = %chain(&error), "waiting for redis");
                tokio::time::sleep(AWAY).await;
            }
            other => return other,
        }
    }
}
