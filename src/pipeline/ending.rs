//! Who a prompt's end is about, what it ends with, and what follows when it cannot end now.

use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::keyring::Halt;
use super::stage::Disposition;
use crate::model::entry::{About, Data};
use crate::model::{Cause, Conversation, EntryType, JobState, PromptId};
use crate::omni::{JobStatus, OmniError};
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// Whose end is being published.
pub(super) struct Subject {
    pub(super) prompt_id: PromptId,
    pub(super) conversation: Conversation,
    pub(super) job_id: Option<String>,
    pub(super) conversation_id: Option<String>,
    pub(super) chat_url: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) metadata: Map<String, Value>,
    /// When it was accepted, unix milliseconds.
    pub(super) accepted_at: Option<u64>,
    /// Whether it came with files.
    pub(super) attached: bool,
    /// Whether Redis has a record of it.
    pub(super) known: bool,
}

/// What a prompt ends with.
pub(super) struct End {
    pub(super) kind: EntryType,
    /// For the conversation.
    pub(super) data: Data,
    /// For `answers`, where that is another.
    pub(super) brief: Option<Data>,
    /// The result, where one of them only refers to it.
    pub(super) payload: Option<String>,
}

/// Either a way to end, or why it cannot be ended now.
pub(super) type Ended = Result<End, Halt>;

impl Subject {
    pub(super) fn of(record: Record, job_id: Option<String>) -> Self {
        Self {
            accepted_at: Some(record.accepted_at()).filter(|at| *at > 0),
            prompt_id: record.id,
            conversation: record.conversation,
            job_id: record.job_id.or(job_id),
            conversation_id: record.conversation_id,
            chat_url: record.chat_url,
            key_id: record.key_id,
            metadata: record.metadata,
            attached: record.request.is_some_and(|prompt| prompt.attached.is_some()),
            known: true,
        }
    }

    /// Of which there is no record.
    pub(super) fn unknown(prompt_id: PromptId, conversation: Conversation, metadata: Map<String, Value>) -> Self {
        Self {
            prompt_id,
            conversation,
            job_id: None,
            conversation_id: None,
            chat_url: None,
            key_id: None,
            metadata,
            accepted_at: None,
            attached: false,
            known: false,
        }
    }

    /// The job as Omni's client names it.
    pub(super) fn job(&self) -> Uuid {
        self.job_id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default()
    }

    pub(super) fn about<'a>(&'a self, store: &'a Store) -> About<'a> {
        About {
            namespace: store.keys().namespace(),
            prompt_id: self.prompt_id,
            conversation: &self.conversation,
            job_id: self.job_id.as_deref(),
            conversation_id: self.conversation_id.as_deref(),
            chat_url: self.chat_url.as_deref(),
            metadata: Some(&self.metadata),
        }
    }

    /// An end that says nothing but its kind.
    pub(super) fn ends(&self, store: &Store, kind: EntryType) -> End {
        End { kind, data: self.about(store).data(), brief: None, payload: None }
    }

    pub(super) fn failed(&self, store: &Store, code: &str, message: &str) -> End {
        let mut end = self.ends(store, EntryType::Failed);
        end.data.put("error", &json!({"code": code, "message": message}));
        end
    }

    pub(super) fn job_failed(&self, store: &Store, status: &JobStatus) -> End {
        let error = status.error.as_ref();
        let message = error.and_then(|error| error.message.as_deref()).unwrap_or("Omni could not answer");
        let code = match status.state {
            JobState::Denied => "denied",
            _ => error.and_then(|error| error.code.as_deref()).unwrap_or("job_failed"),
        };
        self.failed(store, code, message)
    }
}

/// What follows when Omni did not tell. A key that was turned away is closed by now: the next one asks, or waits.
pub(super) fn after(halt: Halt) -> Result<Disposition, StoreError> {
    Ok(match halt {
        Halt::Wait { pause, cause } => Disposition::Wait { pause, cause },
        Halt::Omni(OmniError::Throttled { .. }) => Disposition::Wait { pause: Duration::ZERO, cause: Cause::RateLimit },
        Halt::Omni(OmniError::Unauthorized) => Disposition::Wait { pause: Duration::ZERO, cause: Cause::NoKey },
        Halt::Omni(error) => Disposition::Retry { error: error.to_string(), not_before: error.retry_after() },
        Halt::Odd(error) => Disposition::Retry { error, not_before: None },
        Halt::Store(error) => return Err(error),
    })
}
