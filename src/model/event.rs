//! What the inbox holds: webhooks that were verified, and findings of our own.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::ids::{Conversation, PromptId};

/// A job's state in Omni's words. The set is open: an unknown word is kept, and is not final.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum JobState {
    /// Not started.
    Queued,
    /// Running.
    Executing,
    /// Finishing; cannot be cancelled any more.
    Delivering,
    /// Answered.
    Complete,
    /// Ended with an error.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Refused by Omni, for example over a credit limit.
    Denied,
    /// A word this version does not know.
    Unknown(String),
}

/// How much of an unknown word is kept, in characters.
const LONGEST_WORD: usize = 64;

impl JobState {
    /// Reads a word without regard to case.
    pub fn parse(word: &str) -> Self {
        match word.trim().to_ascii_uppercase().as_str() {
            "QUEUED" => Self::Queued,
            "EXECUTING" => Self::Executing,
            "DELIVERING" => Self::Delivering,
            "COMPLETE" | "COMPLETED" => Self::Complete,
            "FAILED" => Self::Failed,
            "CANCELLED" | "CANCELED" => Self::Cancelled,
            "DENIED" => Self::Denied,
            _ => Self::Unknown(word.chars().take(LONGEST_WORD).collect()),
        }
    }

    /// Whether the job will never change again.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Cancelled | Self::Denied)
    }

    /// Omni's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Queued => "QUEUED",
            Self::Executing => "EXECUTING",
            Self::Delivering => "DELIVERING",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Denied => "DENIED",
            Self::Unknown(word) => word,
        }
    }
}

impl From<String> for JobState {
    fn from(word: String) -> Self {
        Self::parse(&word)
    }
}

impl From<JobState> for String {
    fn from(state: JobState) -> Self {
        state.as_str().to_owned()
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verified webhook about a job that reached a final state.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Omni's id of the delivery's subject; opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Which job.
    pub job_id: Uuid,
    /// Its final state.
    pub state: JobState,
    /// Why it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Our own id, from the metadata that Omni returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<PromptId>,
    /// The conversation, from the metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Conversation>,
    /// When it came, unix milliseconds.
    pub received_at: u64,
    /// What was signed, as text: kept for a dead letter.
    pub body: String,
}

/// A body may hold the customer's data.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("job_id", &self.job_id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// What readers are owed after a decision of ours.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Which prompt; a refused intake entry has the id of its dead letter.
    pub prompt_id: PromptId,
    /// Where its readers are.
    pub conversation: Conversation,
    /// What to tell them.
    pub verdict: Verdict,
    /// The caller's, where no record keeps it: that of a refused intake entry.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// Metadata is the customer's.
impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("prompt_id", &self.prompt_id)
            .field("verdict", &self.verdict)
            .finish_non_exhaustive()
    }
}

impl Finding {
    /// A finding about a prompt whose record keeps the rest.
    pub fn new(prompt_id: PromptId, conversation: Conversation, verdict: Verdict) -> Self {
        Self { prompt_id, conversation, verdict, metadata: Map::new() }
    }
}

/// What a finding says.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "camelCase")]
pub enum Verdict {
    /// The prompt ends as `omni.failed`.
    Failed {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// The prompt ends as `omni.expired`.
    Expired,
    /// The prompt ends as `omni.cancelled`.
    Cancelled,
    /// A dead letter holds the prompt: `omni.delayed`.
    Delayed {
        /// The dead letter's reason.
        reason: String,
    },
    /// Its job reached a final state and no webhook said so: the prompt ends as it would have with one.
    Found {
        /// Which job.
        job_id: Uuid,
        /// Its final state.
        state: JobState,
    },
}

/// Messages may hold what Omni said, which is data.
impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed { .. } => "Failed",
            Self::Expired => "Expired",
            Self::Cancelled => "Cancelled",
            Self::Delayed { .. } => "Delayed",
            Self::Found { .. } => "Found",
        })
    }
}

/// One entry of the inbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// Omni says.
    Webhook(Webhook),
    /// We found.
    Finding(Finding),
}

/// What a create carries as `webhookMetadata`, and reads back: flat and far below Omni's 1 KB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlation {
    /// Our id.
    pub prompt_id: PromptId,
    /// Where its readers are.
    pub conversation: Conversation,
}

impl Correlation {
    /// The metadata of a create.
    pub fn to_metadata(&self, traceparent: &str) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("promptId".to_owned(), self.prompt_id.to_string().into());
        map.insert("conversation".to_owned(), self.conversation.as_str().into());
        map.insert("traceparent".to_owned(), traceparent.into());
        map
    }

    /// What a webhook brought back; `None` when the job was not created here.
    pub fn from_metadata(map: &Map<String, Value>) -> Option<Self> {
        let prompt_id = map.get("promptId")?.as_str()?.parse().ok()?;
        let conversation = Conversation::from_full(map.get("conversation")?.as_str()?)?;
        Some(Self { prompt_id, conversation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_tolerantly() {
        let state = JobState::parse;
        assert_eq!(state("completed"), JobState::Complete);
        assert_eq!(state("Cancelled"), JobState::Cancelled);
        assert!(!state("DELIVERING").is_final());
        assert!(!state("PONDERING").is_final());
        assert_eq!(state("Pondering").as_str(), "Pondering");
        assert_eq!(state(&"x".repeat(100)).as_str().len(), LONGEST_WORD);
    }

    #[test]
    fn metadata_comes_back() {
        let prompt_id = PromptId::new(jiff::Timestamp::UNIX_EPOCH);
        let conversation = Conversation::from_full("acme/t-1").unwrap();
        let correlation = Correlation { prompt_id, conversation };
        let metadata = correlation.to_metadata("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(Correlation::from_metadata(&metadata), Some(correlation));
        assert_eq!(Correlation::from_metadata(&Map::new()), None);
    }
}
