//! Carries out what a stage decided about a delivery.

use std::time::Duration;

use tracing::{info, warn};

use super::limits::Limits;
use super::stage::{Disposition, Stage};
use crate::model::dead_letter::{DeadLetter, Reason};
use crate::model::{Attempt, Cause, Conversation, Envelope, Finding, PromptId, Verdict};
use crate::runtime::{Clock, failpoint, millis};
use crate::store::delivery::{Delivery, Settled, Wait, Why};
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// Settles deliveries of one worker.
pub(super) struct Settler {
    store: Store,
    clock: Clock,
    limits: Limits,
}

impl Settler {
    pub(super) const fn new(store: Store, clock: Clock, limits: Limits) -> Self {
        Self { store, clock, limits }
    }

    /// Carries out `decision`; answers a label for metrics. Safe to repeat.
    pub(super) async fn settle<S: Stage>(
        &self,
        stage: &S,
        delivery: &Delivery,
        envelope: Option<&Envelope<S::Work>>,
        decision: &Disposition,
    ) -> Result<&'static str, StoreError> {
        let outcome = decision.outcome();
        let (settled, outcome) = match (decision, envelope) {
            (Disposition::Wait { pause, cause }, Some(envelope)) => {
                if self.waited_too_long(envelope) {
                    let decision = stage.overdue(&envelope.work).await?;
                    (self.carry_out(stage, delivery, Some(envelope), &decision).await?, decision.outcome())
                } else {
                    tracing::debug!(%cause, ?pause, "waiting");
                    let prompt = stage.prompt(&envelope.work);
                    (self.defer(delivery, prompt, envelope, *pause, Err(*cause)).await?, outcome)
                }
            }
            (Disposition::Retry { error, not_before }, Some(envelope)) => {
                self.retry(stage, delivery, envelope, error, *not_before).await?
            }
            _ => (self.carry_out(stage, delivery, envelope, decision).await?, outcome),
        };
        Ok(match settled {
            Settled::Yes => outcome,
            Settled::Lost => "lost",
        })
    }

    async fn carry_out<S: Stage>(
        &self,
        stage: &S,
        delivery: &Delivery,
        envelope: Option<&Envelope<S::Work>>,
        decision: &Disposition,
    ) -> Result<Settled, StoreError> {
        match decision {
            Disposition::Settle(ending) => {
                let settled = self.store.settle(delivery, ending, self.clock.now_ms()).await;
                failpoint::hit("process.settled").await;
                settled
            }
            Disposition::Tell(entry, published) => self.store.tell(delivery, entry, published).await,
            Disposition::Refuse(finding) => self.store.refuse(delivery, finding.clone(), self.clock.now_ms()).await,
            Disposition::Bury { reason, error, finding } => {
                self.bury(stage, delivery, envelope, *reason, error, finding.clone()).await
            }
            Disposition::Accepted | Disposition::Hold { .. } => Ok(Settled::Yes),
            Disposition::Lost => Ok(Settled::Lost),
            Disposition::Done | Disposition::Wait { .. } | Disposition::Retry { .. } => self.store.done(delivery).await,
        }
    }

    async fn retry<S: Stage>(
        &self,
        stage: &S,
        delivery: &Delivery,
        envelope: &Envelope<S::Work>,
        error: &str,
        not_before: Option<Duration>,
    ) -> Result<(Settled, &'static str), StoreError> {
        let failed = envelope.attempts() + 1;
        if !self.limits.backoff.another(failed) {
            let settled = self.bury(stage, delivery, Some(envelope), Reason::RetriesExhausted, error, None).await?;
            return Ok((settled, "dead"));
        }
        let pause = self.limits.backoff.delay(failed, not_before, fastrand::f64());
        info!(attempt = failed, error, ?pause, "attempt failed");
        let prompt = stage.prompt(&envelope.work);
        Ok((self.defer(delivery, prompt, envelope, pause, Ok(error)).await?, "retry"))
    }

    /// Puts the entry aside: after a failed attempt with its error, otherwise as a wait for its cause.
    async fn defer<W: serde::Serialize>(
        &self,
        delivery: &Delivery,
        prompt: Option<PromptId>,
        envelope: &Envelope<W>,
        pause: Duration,
        why: Result<&str, Cause>,
    ) -> Result<Settled, StoreError> {
        let now = self.clock.now_ms();
        let mut next = Envelope {
            v: envelope.v,
            history: envelope.history.clone(),
            waiting_since: envelope.waiting_since,
            waits: envelope.waits,
            work: &envelope.work,
        };
        let why = match why {
            Ok(error) => {
                next.failed(now, error.to_owned());
                Why::Failed(next.attempts(), error)
            }
            Err(cause) => {
                next.waited(now);
                Why::Waits(cause)
            }
        };
        let pause = millis(pause);
        self.store.defer(delivery, prompt, &Wait { now, until: now.saturating_add(pause), why }, &next).await
    }

    fn waited_too_long<W>(&self, envelope: &Envelope<W>) -> bool {
        let longest = millis(self.limits.max_wait);
        envelope.waiting_since.is_some_and(|since| since.saturating_add(longest) < self.clock.now_ms())
    }

    async fn bury<S: Stage>(
        &self,
        stage: &S,
        delivery: &Delivery,
        envelope: Option<&Envelope<S::Work>>,
        reason: Reason,
        error: &str,
        finding: Option<Finding>,
    ) -> Result<Settled, StoreError> {
        let now = self.clock.now_ms();
        let record = match envelope.and_then(|envelope| stage.prompt(&envelope.work)) {
            Some(id) => self.store.record(id).await?,
            None => None,
        };
        let mut history: Vec<Attempt> = envelope.map(|envelope| envelope.history.clone()).unwrap_or_default();
        history.push(Attempt { at: now, error: error.to_owned() });
        let conversation = match (&record, &finding) {
            (Some(record), _) => Some(record.conversation.clone()),
            (None, finding) => finding.as_ref().map(|finding| finding.conversation.clone()),
        };
        let letter = DeadLetter {
            id: letter_id(S::STREAM.stage(), delivery, record.as_ref(), finding.as_ref()),
            stage: S::STREAM.stage(),
            reason,
            error: error.to_owned(),
            history,
            at: now,
            prompt_id: record.as_ref().map(|record| record.id),
            job_id: record.as_ref().and_then(|record| record.job_id.clone()).or_else(|| stage.job(&envelope?.work)),
            tenant: conversation.as_ref().map_or_else(|| stage.tenant(delivery), Conversation::tenant),
            conversation,
            original: delivery.original(),
        };
        let delayed = record.as_ref().map(|record| {
            let verdict = Verdict::Delayed { reason: reason.as_str().to_owned() };
            Finding::new(record.id, record.conversation.clone(), verdict)
        });
        let settled = self.store.bury(delivery, &letter, record.as_ref(), finding.or(delayed).as_ref()).await?;
        failpoint::hit("dead.buried").await;
        // What was wrong with a pushed prompt names its fields, which are the caller's words.
        let error = if reason == Reason::InvalidPrompt { "see the letter" } else { error };
        told(&letter, error);
        Ok(settled)
    }
}

/// A letter that was written. Its error may be in words that are not for the log.
pub(super) fn told(letter: &DeadLetter, error: &str) {
    let reason = letter.reason.as_str();
    warn!(letter = letter.id, reason, error, attempts = letter.history.len(), "dead letter");
    metrics::counter!("omni_relay_dead_letters_total", "stage" => letter.stage, "reason" => reason).increment(1);
}

/// At most one open letter per prompt; without a prompt, one per entry.
fn letter_id(stage: &str, delivery: &Delivery, record: Option<&Record>, finding: Option<&Finding>) -> String {
    match (record, finding) {
        (Some(record), _) => record.id.to_string(),
        (None, Some(finding)) => finding.prompt_id.to_string(),
        (None, None) => format!("{stage}-{}", delivery.id()),
    }
}
