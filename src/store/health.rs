//! Watches Redis: readiness, and one log line per change.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::{Store, StoreError};
use crate::runtime::readiness::Handle;
use crate::runtime::{Stop, chain};

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// How Redis is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Away,
    /// It answers, and too few replicas hold what it is given.
    Short,
    Well,
}

/// Watches until the stop.
pub async fn run(store: Store, readiness: Handle, stop: Stop) -> Result<(), StoreError> {
    let mut before = None;
    while !stop.is_requested() {
        let answer = store.redis.ping().await;
        metrics::gauge!("omni_relay_redis_up").set(if answer.is_ok() { 1.0 } else { 0.0 });
        let seen = match &answer {
            Err(_) => Seen::Away,
            Ok(()) => match store.redis.prove(&store.keys.replicated).await {
                Ok(()) => Seen::Well,
                Err(error) => {
                    debug!(error = %chain(&error), "replicas do not answer for what redis is given");
                    Seen::Short
                }
            },
        };
        if before != Some(seen) {
            if let Err(error) = &answer {
                warn!(error = %chain(error), "redis does not answer");
            } else {
                info!("redis answers");
                // Again after every interruption: it may be another server now.
                tell_risks(&store).await;
            }
            tell(&readiness, seen);
        }
        before = Some(seen);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.requested() => {}
        }
    }
    Ok(())
}

fn tell(readiness: &Handle, seen: Seen) {
    match seen {
        Seen::Well => readiness.ready(),
        Seen::Away => readiness.not_ready("redis does not answer"),
        Seen::Short => {
            warn!("redis has too few replicas that hold what it is given: nothing is accepted");
            readiness.not_ready("redis has too few replicas");
        }
    }
}

async fn tell_risks(store: &Store) {
    match store.risks().await {
        Ok(risks) => risks.iter().for_each(|risk| warn!("{risk}")),
        Err(error) => info!(error = %chain(&error), "redis does not say how it keeps what it is given"),
    }
}
