//! The loop: takes prompts that are due, as many as it has hands, and looks at each.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::pace::Pace;
use crate::model::{Finding, JobState, Phase, PromptId, Verdict};
use crate::omni::{Omni, OmniError};
use crate::pipeline::keyring::{Halt, KeyRing};
use crate::pipeline::progress::tell;
use crate::pipeline::{Directory, Switch};
use crate::runtime::traces::{self, SpanKind};
use crate::runtime::{Clock, Stop, chain, failpoint, hasten, millis};
use crate::store::reconcile::{Concluded, Recheck};
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// Looks at once.
const HANDS: usize = 16;
/// Looks that wait for the budget come back within this long of its room, not all at once.
const SPREAD: Duration = Duration::from_secs(1);

/// Looks at quiet prompts.
pub struct Reconciler {
    /// The store.
    pub store: Store,
    /// Omni.
    pub omni: Arc<Omni>,
    /// Omni's keys.
    pub keys: Arc<KeyRing>,
    /// Users.
    pub directory: Directory,
    /// Time.
    pub clock: Clock,
    /// When.
    pub pace: Pace,
    /// What is held back.
    pub switch: Switch,
}

/// What came of a look: a label of metrics.
pub(super) type Look = Result<&'static str, StoreError>;

/// Looks until the stop, then finishes the looks that have begun.
pub async fn run(reconciler: Reconciler, stop: Stop) -> Result<(), StoreError> {
    let mut looks = FuturesUnordered::new();
    while !stop.is_requested() {
        let (taken, pause) = {
            let take = reconciler.take(HANDS - looks.len());
            tokio::pin!(take);
            loop {
                tokio::select! {
                    taken = &mut take => break taken,
                    // A look may hold what this waits for, such as the right to connect to Redis: both go on.
                    Some(()) = looks.next(), if !looks.is_empty() => {}
                }
            }
        };
        looks.extend(taken.into_iter().map(|id| reconciler.look(id)));
        let rest = tokio::time::sleep(pause);
        tokio::pin!(rest);
        loop {
            let busy = looks.len() == HANDS;
            tokio::select! {
                Some(()) = looks.next(), if !looks.is_empty() => if busy { break },
                () = &mut rest, if !busy => break,
                () = stop.requested() => break,
            }
        }
    }
    tokio::select! {
        () = looks.collect::<()>() => {}
        () = stop.hard() => {}
    }
    Ok(())
}

impl Reconciler {
    async fn take(&self, free: usize) -> (Vec<PromptId>, Duration) {
        let (now, idle) = (self.clock.now_ms(), self.pace.tuning.idle);
        if self.switch.drains() {
            return (Vec::new(), idle);
        }
        match self.store.take_checks(now, free, now + millis(self.pace.tuning.lease)).await {
            Ok(taken) => {
                let next = taken.next.map(|next| Duration::from_millis(next.saturating_sub(now).max(1)));
                (taken.prompts, next.map_or(idle, |next| next.min(idle)))
            }
            Err(error) => {
                if !error.passes() {
                    error!(error = %chain(&error), "failed to take checks");
                }
                (Vec::new(), idle)
            }
        }
    }

    /// One look. Whatever interrupts it, the prompt is taken again when the lease ends.
    async fn look(&self, id: PromptId) {
        let outcome = match tokio::time::timeout(self.pace.tuning.lease, self.look_at(id)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) if error.passes() => {
                debug!(prompt.id = %id, error = %error, "left a look to the next one");
                "interrupted"
            }
            Ok(Err(error)) => {
                error!(prompt.id = %id, error = %chain(&error), "failed to look");
                "interrupted"
            }
            Err(_) => "interrupted",
        };
        metrics::counter!("omni_relay_reconciled_total", "outcome" => outcome).increment(1);
    }

    async fn look_at(&self, id: PromptId) -> Look {
        let Some(record) = self.store.record(id).await? else {
            warn!(prompt.id = %id, "no record of a prompt that was to be looked at");
            self.store.uncheck(id).await?;
            return Ok("lost");
        };
        traces::within("reconcile", SpanKind::Internal, record.trace(), self.look_on(&record)).await
    }

    async fn look_on(&self, record: &Record) -> Look {
        match record.phase {
            Phase::Waiting | Phase::Queued => self.in_line(record).await,
            Phase::Sending => self.sending(record).await,
            Phase::Submitted => self.submitted(record).await,
            Phase::Finishing => self.finishing(record).await,
            Phase::Answered | Phase::Failed | Phase::Cancelled | Phase::Expired | Phase::Dead => {
                self.store.uncheck(record.id).await?;
                Ok("ended")
            }
        }
    }

    /// Waits for its turn: all that can be over is its time.
    async fn in_line(&self, record: &Record) -> Look {
        match self.pace.end(record) {
            Some(end) if end <= self.clock.now_ms() => self.conclude(record, Verdict::Expired, "expired").await,
            end => self.again(record, Duration::MAX, end, "waiting").await,
        }
    }

    /// Looks again after `pause`, but not later than at `end`, which lies ahead.
    pub(super) async fn again(
        &self,
        record: &Record,
        pause: Duration,
        end: Option<u64>,
        outcome: &'static str,
    ) -> Look {
        let now = self.clock.now_ms();
        let at = now.saturating_add(millis(pause));
        let at = end.filter(|end| *end > now).map_or(at, |end| at.min(end));
        let misses = match outcome {
            "missing" => record.misses + 1,
            "budget" => record.misses,
            _ => 0,
        };
        let same = self.store.recheck(record, Recheck { at, misses }, now).await?;
        Ok(if same { outcome } else { "moved" })
    }

    /// Omni did not say: counts nothing, and is asked again.
    pub(super) async fn later(&self, record: &Record, pause: Duration, end: Option<u64>, halt: Halt) -> Look {
        match halt {
            // Not asked at all: as soon as it may be.
            Halt::Wait { pause, cause } => {
                debug!(prompt.id = %record.id, %cause, ?pause, "waiting");
                self.again(record, pause + hasten(SPREAD).mul_f64(fastrand::f64()), end, "budget").await
            }
            // Its key is closed by now.
            Halt::Omni(OmniError::Throttled { .. } | OmniError::Unauthorized) => {
                self.again(record, Duration::ZERO, end, "later").await
            }
            Halt::Omni(error) => {
                if matches!(error, OmniError::Refused { .. }) {
                    warn!(prompt.id = %record.id, key.id = record.key_id, error = %error, "omni refuses to say how a job is");
                } else {
                    debug!(prompt.id = %record.id, error = %error, "omni did not say");
                }
                self.again(record, pause.max(error.retry_after().unwrap_or_default()), end, "later").await
            }
            Halt::Odd(_) => self.again(record, pause, end, "later").await,
            Halt::Store(error) => Err(error),
        }
    }

    /// Leaves a finding that ends the prompt.
    pub(super) async fn conclude(&self, record: &Record, verdict: Verdict, outcome: &'static str) -> Look {
        let now = self.clock.now_ms();
        let finding = Finding::new(record.id, record.conversation.clone(), verdict);
        match self.store.conclude(record, finding, now, now + millis(self.lost_after())).await? {
            Concluded::Yes => {
                failpoint::hit("reconcile.concluded").await;
                info!(prompt.id = %record.id, phase = %record.phase, outcome, "reconciled");
                Ok(outcome)
            }
            Concluded::Not(phase) => {
                debug!(prompt.id = %record.id, ?phase, "moved on while it was looked at");
                Ok("moved")
            }
        }
    }

    /// A prompt whose end is known and not told for this long: its finding is lost.
    pub(super) fn lost_after(&self) -> Duration {
        self.pace.max_wait.saturating_mul(2)
    }

    /// The state of a job, asked for as a poll. How far it is is told to those who want to know.
    pub(super) async fn poll(&self, record: &Record, job_id: Uuid) -> Result<JobState, Halt> {
        let permit = self.keys.poll(record.key_id.as_deref(), 1).await?;
        let status = self.omni.status(permit.key(), job_id).await;
        let status = self.keys.heard(&permit, status).await?;
        if let Some(progress) = status.progress.filter(|_| !status.state.is_final())
            && let Err(error) = tell(&self.store, &self.clock, record, record.job_id.as_deref(), &progress).await
        {
            debug!(prompt.id = %record.id, error = %error, "did not tell how far the job is");
        }
        Ok(status.state)
    }

    /// The state of a job after Omni was asked to cancel it.
    pub(super) async fn ask_to_cancel(&self, record: &Record, job_id: Uuid) -> Result<JobState, Halt> {
        let permit = self.keys.finish(record.key_id.as_deref()).await?;
        let state = self.omni.cancel(permit.key(), job_id).await;
        self.keys.heard(&permit, state).await
    }
}
