//! Who a prompt's end is about, what it ends with, and what follows when it cannot end now.

use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::stage::Disposition;
use crate::model::entry::About;
use crate::model::{Conversation, EntryType, Finding, JobState, PromptId};
use crate::omni::{JobStatus, OmniError};
use crate::runtime::hasten;
use crate::store::Store;
use crate::store::record::Record;

/// While no key is accepted, and while throttled without being told for how long.
const PAUSE: Duration = Duration::from_secs(15);
/// Whose end is being published.
pub(super) struct Subject {
    pub(super) prompt_id: PromptId,
    pub(super) conversation: Conversation,
    pub(super) job_id: Option<String>,
    pub(super) conversation_id: Option<String>,
    pub(super) chat_url: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) metadata: Map<String, Value>,
    /// Whether Redis has a record of it.
    pub(super) known: bool,
}

/// What a prompt ends with.
pub(super) struct End {
    pub(super) kind: EntryType,
    pub(super) data: Map<String, Value>,
    pub(super) brief: Option<Map<String, Value>>,
    pub(super) payload: Option<String>,
}

/// Either a way to end, or why it cannot be ended now.
pub(super) type Ended = Result<End, Disposition>;

impl Subject {
    pub(super) fn of(record: Record, job_id: Option<String>) -> Self {
        Self {
            prompt_id: record.id,
            conversation: record.conversation,
            job_id: record.job_id.or(job_id),
            conversation_id: record.conversation_id,
            chat_url: record.chat_url,
            key_id: record.key_id,
            metadata: record.metadata,
            known: true,
        }
    }

    pub(super) fn unknown(finding: &Finding) -> Self {
        Self {
            prompt_id: finding.prompt_id,
            conversation: finding.conversation.clone(),
            job_id: None,
            conversation_id: None,
            chat_url: None,
            key_id: None,
            metadata: Map::new(),
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
}

impl End {
    pub(super) fn plain(kind: EntryType) -> Self {
        Self { kind, data: Map::new(), brief: None, payload: None }
    }
}

pub(super) fn failed(code: &str, message: &str) -> End {
    let mut end = End::plain(EntryType::Failed);
    end.data.insert("error".to_owned(), json!({"code": code, "message": message}));
    end
}

pub(super) fn job_failed(status: &JobStatus) -> End {
    let error = status.error.as_ref();
    let message = error.and_then(|error| error.message.as_deref()).unwrap_or("Omni could not answer");
    let code = match status.state {
        JobState::Denied => "denied",
        _ => error.and_then(|error| error.code.as_deref()).unwrap_or("job_failed"),
    };
    failed(code, message)
}

/// What follows an error on a read.
pub(super) fn after(error: &OmniError) -> Disposition {
    match error {
        OmniError::Throttled { retry_after } => {
            Disposition::Wait { pause: retry_after.unwrap_or(hasten(PAUSE)), cause: "rate limit" }
        }
        OmniError::Unauthorized => Disposition::Wait { pause: hasten(PAUSE), cause: "no key" },
        other => retry(other.to_string(), other.retry_after()),
    }
}

pub(super) fn retry(error: String, not_before: Option<Duration>) -> Disposition {
    Disposition::Retry { error, not_before }
}
