//! Watches Redis: readiness, and one log line per change.

use std::time::Duration;

use tracing::{info, warn};

use super::{Store, StoreError};
use crate::runtime::readiness::Handle;
use crate::runtime::{Stop, chain};

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// How Redis is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Away,
    /// It answers, and holds what a newer version stored.
    Newer,
    /// It answers, and too few replicas hold what it is given.
    Short,
    Well,
}

/// Watches until the stop.
pub async fn run(store: Store, readiness: Handle, stop: Stop) -> Result<(), StoreError> {
    let mut before = None;
    while !stop.is_requested() {
        let (seen, why) = look(&store).await;
        metrics::gauge!("omni_relay_redis_up").set(if seen == Seen::Away { 0.0 } else { 1.0 });
        if before != Some(seen) {
            tell(&readiness, seen, why.as_ref());
            if seen != Seen::Away {
                // Again after every interruption: it may be another server now.
                tell_risks(&store).await;
            }
        }
        before = Some(seen);
        stop.pause(LOOK).await;
    }
    Ok(())
}

/// How it is, and what says so where it is not well.
async fn look(store: &Store) -> (Seen, Option<StoreError>) {
    if let Err(error) = store.redis.ping().await {
        return (Seen::Away, Some(error));
    }
    match store.meet().await {
        Ok(()) => {}
        Err(error @ StoreError::Newer { .. }) => return (Seen::Newer, Some(error)),
        Err(error) => return (Seen::Away, Some(error)),
    }
    match store.redis.prove(&store.keys.replicated).await {
        Ok(()) => (Seen::Well, None),
        Err(error) => (Seen::Short, Some(error)),
    }
}

fn tell(readiness: &Handle, seen: Seen, why: Option<&StoreError>) {
    let why = why.map(|error| chain(error)).unwrap_or_default();
    match seen {
        Seen::Well => {
            info!("redis answers");
            readiness.ready();
        }
        Seen::Away => {
            warn!(error = %why, "redis does not answer");
            readiness.not_ready("redis does not answer");
        }
        Seen::Newer => {
            warn!(error = %why, "holding back until this process is replaced by a newer version");
            readiness.not_ready("redis holds what a newer version stored");
        }
        Seen::Short => {
            warn!(error = %why, "redis has too few replicas that hold what it is given: nothing is accepted");
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
