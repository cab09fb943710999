//! Watches Redis: readiness, the gauges, and one log line per change. Keeps the wake-up subscription alive.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::wake::Wake;
use super::{Store, StoreError};
use crate::runtime::readiness::Handle;
use crate::runtime::{Clock, Stop, chain};

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Watches until the stop.
pub async fn run(store: Store, clock: Clock, readiness: Handle, wake: Wake, stop: Stop) -> Result<(), StoreError> {
    tokio::join!(watch(&store, &clock, &readiness, &stop), listen(&store, &wake, &stop));
    Ok(())
}

/// How Redis is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Away,
    /// It answers, and too few replicas hold what it is given.
    Short,
    Well,
}

async fn watch(store: &Store, clock: &Clock, readiness: &Handle, stop: &Stop) {
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
                tell_risks(store).await;
            }
            tell(readiness, seen);
        }
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
        before = Some(seen);
        pause(stop).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2⁵³ nobody looks at the last digit")]
const fn gauged(number: u64) -> f64 {
    number as f64
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

async fn listen(store: &Store, wake: &Wake, stop: &Stop) {
    while !stop.is_requested() {
        tokio::select! {
            _ended = wake.listen(store) => {}
            () = stop.requested() => {}
        }
        pause(stop).await;
    }
}

async fn pause(stop: &Stop) {
    tokio::select! {
        () = tokio::time::sleep(LOOK) => {}
        () = stop.requested() => {}
    }
}
