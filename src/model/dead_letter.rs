//! What is kept when nothing helps any more.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::{Conversation, PromptId, Tenant};
use super::work::Attempt;

/// Why an entry was dead-lettered. A closed set: it is a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeadLetterReason)]
pub enum Reason {
    /// Every attempt failed.
    RetriesExhausted,
    /// Nobody can read the entry.
    Malformed,
    /// Delivered again and again without an end: it may end the process that handles it.
    Poison,
    /// A pushed prompt that cannot be accepted.
    InvalidPrompt,
    /// A pushed prompt beyond its tenant's share of the backlog.
    Backlog,
    /// Nobody could find out whether Omni took the job.
    SubmitOutcomeUnknown,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::RetriesExhausted,
        Self::Malformed,
        Self::Poison,
        Self::InvalidPrompt,
        Self::Backlog,
        Self::SubmitOutcomeUnknown,
    ];

    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "retries_exhausted",
            Self::Malformed => "malformed",
            Self::Poison => "poison",
            Self::InvalidPrompt => "invalid_prompt",
            Self::Backlog => "backlog",
            Self::SubmitOutcomeUnknown => "submit_outcome_unknown",
        }
    }
}

/// One dead letter. `original` holds the stage's entry as it was read.
#[derive(Clone)]
pub struct DeadLetter {
    /// The prompt's id, or `<stage>-<entry id>` where none is known: one open letter per prompt.
    pub id: String,
    /// Where it died: `intake`, `submit`, `process`.
    pub stage: &'static str,
    /// Why.
    pub reason: Reason,
    /// The last error.
    pub error: String,
    /// Every attempt.
    pub history: Vec<Attempt>,
    /// When it died, unix milliseconds.
    pub at: u64,
    /// Whose it is.
    pub prompt_id: Option<PromptId>,
    /// Omni's job, when there is one.
    pub job_id: Option<String>,
    /// Where its readers are.
    pub conversation: Option<Conversation>,
    /// The caller's tenant; the empty one where nobody can tell.
    pub tenant: Tenant,
    /// The entry's bytes.
    pub original: Vec<u8>,
}

impl DeadLetter {
    /// Groups letters that died of the same cause: stage, reason, and the error with its digits taken out.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let cause: String = self.error.chars().filter(|c| !c.is_ascii_digit()).collect();
        let digest = Sha256::digest(format!("{}\n{}\n{cause}", self.stage, self.reason.as_str()));
        hex::encode(&digest[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_of_the_cause() {
        let letter = |error: &str| DeadLetter {
            id: "x".to_owned(),
            stage: "process",
            reason: Reason::RetriesExhausted,
            error: error.to_owned(),
            history: Vec::new(),
            at: 0,
            prompt_id: None,
            job_id: None,
            conversation: None,
            tenant: Tenant::default(),
            original: Vec::new(),
        };
        assert_eq!(letter("timed out after 31 s").fingerprint(), letter("timed out after 29 s").fingerprint());
        assert_ne!(letter("timed out").fingerprint(), letter("refused").fingerprint());
    }
}
