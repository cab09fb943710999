//! receive: takes verified webhooks, leaves behind inbox entries, and what readers are told on the way. Safe to repeat
//! because marks and entry are one script.

use tracing::debug;

use super::progress;
use crate::model::Webhook;
use crate::model::event::Correlation;
use crate::omni::{Event, Verified};
use crate::runtime::traces::{self, SpanKind};
use crate::runtime::{Clock, TraceContext, failpoint};
use crate::store::inbox::Received;
use crate::store::{Store, StoreError};

/// Stores webhooks.
#[derive(Clone)]
pub struct Receiver {
    store: Store,
    clock: Clock,
}

/// What became of a verified webhook: a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It will be processed.
    Stored,
    /// It was there before.
    Duplicate,
    /// It says how far a job is: its readers know by now, or need not.
    Progress,
    /// It says nothing that anybody understands; kept aside.
    Unhandled,
}

impl Outcome {
    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Progress => "progress",
            Self::Unhandled => "unhandled",
        }
    }
}

impl Receiver {
    /// A receiver.
    pub const fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Once this answers, Redis holds the webhook.
    pub async fn receive(&self, verified: &Verified) -> Result<Outcome, StoreError> {
        let event = verified.event().ok();
        let trace = event.as_ref().and_then(|event| event.metadata.get("traceparent")?.as_str());
        match trace.and_then(TraceContext::parse) {
            None => self.keep(event, verified).await,
            trace => traces::within("receive", SpanKind::Server, trace, self.keep(event, verified)).await,
        }
    }

    async fn keep(&self, event: Option<Event>, verified: &Verified) -> Result<Outcome, StoreError> {
        // Boxed, as few webhooks are one: it would take room in the future of every other.
        if let Some(event) = event.as_ref().filter(|event| event.progress.is_some())
            && Box::pin(self.progress(event)).await?
        {
            return Ok(Outcome::Progress);
        }
        let Some(webhook) = event.and_then(|event| self.read(event, verified)) else {
            self.store.unhandled(verified.body()).await?;
            return Ok(Outcome::Unhandled);
        };
        let (job_id, state) = (webhook.job_id, webhook.state.clone());
        let outcome = match self.store.receive(webhook).await? {
            Received::Stored => Outcome::Stored,
            Received::Duplicate => Outcome::Duplicate,
        };
        failpoint::hit("receive.stored").await;
        debug!(job.id = %job_id, state = %state, outcome = outcome.as_str(), "webhook");
        Ok(outcome)
    }

    /// Whether it is a report on the way about a prompt of ours, and says how far that is. Then nothing is left to be done.
    async fn progress(&self, event: &Event) -> Result<bool, StoreError> {
        let Some(progress) = event.progress.as_ref().filter(|progress| progress.iteration.is_some()) else {
            return Ok(false);
        };
        let job_id = event.job_id.map(|id| id.to_string());
        let prompt_id = match (Correlation::from_metadata(&event.metadata), &job_id) {
            (Some(correlation), _) => Some(correlation.prompt_id),
            (None, Some(job_id)) => self.store.prompt_of_job(job_id).await?,
            (None, None) => None,
        };
        let record = match prompt_id {
            Some(id) => self.store.record(id).await?,
            None => None,
        };
        let Some(record) = record else { return Ok(false) };
        // It may come before the answer to its create, and never from a job that the prompt does not have.
        let known = record.job_id.as_ref().or(job_id.as_ref());
        if job_id.is_none() || job_id.as_ref() == known {
            progress::tell(&self.store, &self.clock, &record, known.map(String::as_str), progress).await?;
        }
        Ok(true)
    }

    /// `None` for a valid event that does not say how a job ended.
    fn read(&self, event: Event, verified: &Verified) -> Option<Webhook> {
        let state = event.status.filter(|state| state.is_final() && event.progress.is_none())?;
        let correlation = Correlation::from_metadata(&event.metadata);
        Some(Webhook {
            event_id: event.event_id,
            job_id: event.job_id?,
            state,
            reason: event.reason,
            prompt_id: correlation.as_ref().map(|correlation| correlation.prompt_id),
            conversation: correlation.map(|correlation| correlation.conversation),
            received_at: self.clock.now_ms(),
            // A member that nobody reads may hold bytes that are no text: how the job ended stands beside it.
            body: String::from_utf8_lossy(verified.body()).into_owned(),
        })
    }
}
