//! receive: takes verified webhooks, leaves behind inbox entries. Safe to repeat because marks and entry are one script.

use tracing::info;

use crate::model::Webhook;
use crate::model::event::Correlation;
use crate::omni::Verified;
use crate::runtime::{Clock, failpoint};
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
    /// It says nothing about a job's end; kept aside.
    Unhandled,
}

impl Outcome {
    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
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
        let Some(webhook) = self.read(verified) else {
            self.store.unhandled(verified.body()).await?;
            return Ok(Outcome::Unhandled);
        };
        let (job_id, state) = (webhook.job_id, webhook.state.clone());
        let outcome = match self.store.receive(webhook).await? {
            Received::Stored => Outcome::Stored,
            Received::Duplicate => Outcome::Duplicate,
        };
        failpoint::hit("receive.stored").await;
        info!(job.id = %job_id, state = %state, outcome = outcome.as_str(), "webhook");
        Ok(outcome)
    }

    /// `None` for a valid event that does not say how a job ended.
    fn read(&self, verified: &Verified) -> Option<Webhook> {
        let event = verified.event().ok()?;
        let state = event.status.filter(|state| state.is_final() && !event.progress)?;
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
