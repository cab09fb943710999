//! The one loop: reads as many entries as it has free handlers, claims what others left behind, renews what it holds,
//! and settles every delivery as its stage decided.
//!
//! While Redis is away a handler keeps its delivery and tries again: nothing is acknowledged from memory. What a stop or
//! a crash interrupts stays pending, and is claimed by whoever is there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{Instrument, debug, error, warn};

use super::in_work::InWork;
use super::insist::AWAY;
use super::limits::Limits;
use super::settle::Settler;
use super::stage::{Admission, Disposition, Malformed, Stage};
use super::switch::Gate;
use crate::model::Envelope;
use crate::model::dead_letter::Reason;
use crate::runtime::{Clock, Lifecycle, Stop, chain};
use crate::store::delivery::{Delivery, Settled};
use crate::store::streams::Consumer;
use crate::store::{Store, StoreError};

/// How long a read waits for the first entry.
const BLOCK: Duration = Duration::from_millis(500);
/// Deliveries after which an entry is taken for poison.
const MOST_DELIVERIES: u64 = 5;
/// Consumers that hold nothing and were not seen for this long are removed.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// Runs one stage.
pub struct Worker<S> {
    stage: Arc<S>,
    store: Store,
    settler: Settler,
    limits: Limits,
    gate: Gate,
    lifecycle: Lifecycle,
    stop: Stop,
    consumer: String,
    in_work: InWork,
}

impl<S: Stage> Worker<S> {
    /// A worker of `stage`; `consumer` is unique per process start.
    pub fn new(
        stage: Arc<S>,
        store: Store,
        clock: Clock,
        limits: Limits,
        gate: Gate,
        lifecycle: &Lifecycle,
        consumer: &str,
    ) -> Self {
        let settler = Settler::new(store.clone(), clock, limits);
        let (stop, lifecycle) = (lifecycle.stop_handle(), lifecycle.clone());
        Self {
            stage,
            store,
            settler,
            limits,
            gate,
            lifecycle,
            stop,
            consumer: consumer.to_owned(),
            in_work: InWork::default(),
        }
    }

    /// Works until the stop, then lets the handlers finish.
    pub async fn run(self) -> Result<(), StoreError> {
        let mut consumer = Consumer::new(self.store.clone(), S::STREAM, &self.consumer);
        let handlers = if S::IN_ORDER { 1 } else { self.limits.handlers };
        let permits = Arc::new(Semaphore::new(handlers));
        let this = Arc::new(self);
        let mut last_claim: Option<Instant> = None;
        while !this.stop.is_requested() {
            let free = tokio::select! {
                biased;
                free = free(&permits) => free,
                () = this.stop.requested() => break,
                never = this.gate.told() => match never {},
            };
            // Asked last: a handler may have been waited for meanwhile.
            tokio::select! {
                () = this.gate.opened() => {}
                () = this.stop.requested() => break,
            }
            // A stop waits for it: what a read that is dropped was given would stay pending until somebody claims it.
            match this.round(&mut consumer, free.num_permits(), &mut last_claim).await {
                Ok(deliveries) => {
                    this.start(deliveries, free);
                    // They go first: what they ask of Redis would wait for the next read.
                    tokio::task::yield_now().await;
                }
                Err(error) if error.passes() => {
                    debug!(stage = S::STREAM.stage(), error = %error, "waiting for redis");
                    this.stop.pause(AWAY).await;
                }
                Err(error) => {
                    error!(stage = S::STREAM.stage(), error = %chain(&error), "failed to read");
                    this.stop.pause(AWAY).await;
                }
            }
        }
        // Handlers that finish in time release their permits; the hard stop drops the others.
        let _all = permits.acquire_many(u32::try_from(handlers).unwrap_or(u32::MAX)).await;
        let left = match consumer.retire(&this.consumer).await {
            Ok(_) if S::IN_ORDER => this.store.lease(&this.consumer, Duration::ZERO).await,
            other => other,
        };
        if let Err(error) = left {
            debug!(stage = S::STREAM.stage(), error = %error, "the consumer stays behind");
        }
        Ok(())
    }

    /// Abandoned entries first, then new ones.
    async fn round(
        &self,
        consumer: &mut Consumer,
        free: usize,
        last_claim: &mut Option<Instant>,
    ) -> Result<Vec<Delivery>, StoreError> {
        if S::IN_ORDER && !self.store.lease(&self.consumer, self.limits.claim_after).await? {
            tokio::time::sleep(BLOCK.min(self.limits.claim_after / 3)).await;
            return Ok(Vec::new());
        }
        if last_claim.is_none() {
            consumer.make_group().await?;
            for name in consumer.forgotten(FORGOTTEN).await? {
                consumer.retire(&name).await?;
            }
        }
        // Whoever holds the lease is the only reader: what is pending was left behind, and comes before what is new.
        let idle = if S::IN_ORDER { Duration::ZERO } else { self.limits.claim_after };
        if S::IN_ORDER || last_claim.is_none_or(|at| at.elapsed() >= self.limits.claim_after / 3) {
            let claimed = consumer.claim(free, idle).await?;
            // With as many as there are handlers there may be more: look again at once.
            if claimed.len() < free {
                *last_claim = Some(Instant::now());
            }
            if !claimed.is_empty() {
                return Ok(claimed);
            }
        }
        let block = BLOCK.min(self.limits.claim_after / 3);
        match self.stage.admit(free, self.limits.handlers.saturating_sub(free)).await? {
            Admission::Some(count) => consumer.read(count, block).await,
            Admission::NotBefore(pause) => {
                tokio::time::sleep(pause.min(block)).await;
                Ok(Vec::new())
            }
        }
    }

    fn start(self: &Arc<Self>, deliveries: Vec<Delivery>, mut free: OwnedSemaphorePermit) {
        for delivery in deliveries {
            let Some(held) = self.in_work.hold(delivery.id()) else { continue };
            let permit = free.split(1).expect("no more was read than there are free handlers");
            let handling = self.gate.begin();
            let this = self.clone();
            let envelope = self.stage.read(&delivery);
            let prompt = envelope.as_ref().ok().and_then(|envelope| self.stage.prompt(&envelope.work));
            let prompt = prompt.map(tracing::field::display);
            let span =
                tracing::info_span!("stage", stage = S::STREAM.stage(), entry = delivery.id(), prompt.id = prompt);
            let work = async move {
                this.work(&delivery, &envelope).await;
                drop((held, permit, handling));
            };
            drop(self.lifecycle.spawn_child(S::STREAM.stage(), work.instrument(span)));
        }
    }

    /// One delivery, until it is settled or belongs to somebody else.
    async fn work(&self, delivery: &Delivery, envelope: &Result<Envelope<S::Work>, Malformed>) {
        let started = Instant::now();
        let outcome = tokio::select! {
            outcome = self.handle(delivery, envelope) => outcome,
            () = self.lost(delivery) => "lost",
            () = self.stop.hard() => "stopped",
        };
        let stage = S::STREAM.stage();
        metrics::counter!("omni_relay_stage_outcomes_total", "stage" => stage, "outcome" => outcome).increment(1);
        metrics::histogram!("omni_relay_stage_duration_seconds", "stage" => stage).record(started.elapsed());
    }

    /// Decides, then carries the decision out; either is tried again while Redis is away.
    async fn handle(&self, delivery: &Delivery, envelope: &Result<Envelope<S::Work>, Malformed>) -> &'static str {
        let bury = |reason, error: String| Disposition::Bury { reason, error, finding: None };
        let decision = match envelope {
            Err(malformed) => bury(Reason::Malformed, malformed.to_string()),
            Ok(_) if delivery.deliveries() > MOST_DELIVERIES => {
                bury(Reason::Poison, format!("delivered {} times without an end", delivery.deliveries()))
            }
            Ok(envelope) => loop {
                match self.stage.handle(delivery, envelope).await {
                    Ok(Disposition::Hold { pause, cause }) => {
                        debug!(%cause, ?pause, "waiting");
                        self.stop.pause(pause).await;
                        if self.hands_on(delivery).await {
                            return "pending";
                        }
                    }
                    Ok(decision) => break decision,
                    // What must stay in order is not put aside: it stays pending, and is claimed again.
                    Err(error) if !error.passes() && !S::IN_ORDER => {
                        break Disposition::Retry { error: error.to_string(), not_before: None };
                    }
                    Err(error) if error.passes() && S::IN_ORDER => {
                        self.stop.pause(AWAY).await;
                        if self.hands_on(delivery).await {
                            return "pending";
                        }
                    }
                    Err(error) => {
                        if let Some(outcome) = self.obstacle(&error).await {
                            return outcome;
                        }
                    }
                }
            },
        };
        loop {
            match self.settler.settle(&*self.stage, delivery, envelope.as_ref().ok(), &decision).await {
                Ok(outcome) => return outcome,
                Err(error) => {
                    if let Some(outcome) = self.obstacle(&error).await {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Whether another replica is to go on with what is handled in its place here. What holds it back is not its fault: its
    /// deliveries are counted anew.
    async fn hands_on(&self, delivery: &Delivery) -> bool {
        let leaves = self.stop.is_requested() || self.gate.switch().drains();
        if leaves {
            drop(self.store.forgive(delivery).await);
        }
        leaves
    }

    /// `None`: try again. Whatever does not pass leaves the delivery pending, under this label.
    async fn obstacle(&self, error: &StoreError) -> Option<&'static str> {
        if matches!(error, StoreError::NoGroup) {
            return Some("lost");
        }
        if !error.passes() {
            warn!(error = %chain(error), "left a delivery pending");
        }
        self.stop.pause(AWAY).await;
        let give_up = !error.passes() || self.stop.is_requested();
        give_up.then_some("pending")
    }

    /// Ends when the delivery belongs to somebody else and its handler has nothing in hand.
    async fn lost(&self, delivery: &Delivery) {
        self.renew(delivery).await;
        drop(delivery.in_hand().await);
    }

    /// Ends when the delivery belongs to somebody else, as what is read in order does with the right to read it.
    async fn renew(&self, delivery: &Delivery) {
        loop {
            tokio::time::sleep(self.limits.claim_after / 3).await;
            if S::IN_ORDER && matches!(self.store.lease(&self.consumer, self.limits.claim_after).await, Ok(false)) {
                return;
            }
            match self.store.renew(delivery).await {
                Ok(Settled::Lost) | Err(StoreError::NoGroup) => return,
                Ok(Settled::Yes) | Err(_) => {}
            }
        }
    }
}

/// Waits for one free handler, and takes every other one that is free.
async fn free(permits: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let mut free = permits.clone().acquire_owned().await.expect("nobody closes the semaphore");
    let more = u32::try_from(permits.available_permits()).unwrap_or(u32::MAX);
    if let Ok(more) = permits.clone().try_acquire_many_owned(more) {
        free.merge(more);
    }
    free
}
