//! What Omni says about a job, as an open set of words.

use std::fmt;

/// The state of a job. Words are read without regard to case; one that is not known is kept and is not final.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobState {
    Queued,
    Executing,
    /// Finalizing its result: not final yet, and too late to cancel.
    Delivering,
    Complete,
    Failed,
    Cancelled,
    /// Refused by Omni, for example over the credit limit. Known from webhooks only.
    Denied,
    Unknown(String),
}

/// How much of an unknown word is kept.
const LONGEST_WORD: usize = 64;

impl JobState {
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

    /// Omni's spelling.
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

    /// Whether the job will never change again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Cancelled | Self::Denied)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_both_spellings() {
        for (word, state, is_final) in [
            ("queued", JobState::Queued, false),
            ("EXECUTING", JobState::Executing, false),
            ("Delivering", JobState::Delivering, false),
            ("COMPLETE", JobState::Complete, true),
            ("completed", JobState::Complete, true),
            ("FAILED", JobState::Failed, true),
            ("Cancelled", JobState::Cancelled, true),
            ("canceled", JobState::Cancelled, true),
            ("DENIED", JobState::Denied, true),
        ] {
            assert_eq!(JobState::parse(word), state);
            assert_eq!(state.is_final(), is_final, "{word}");
            assert_eq!(JobState::parse(state.as_str()), state);
        }
    }

    #[test]
    fn an_unknown_word_is_kept_cut_and_never_final() {
        assert_eq!(JobState::parse("Paused").as_str(), "Paused");
        assert!(!JobState::parse("Paused").is_final());
        assert_eq!(JobState::parse(&"x".repeat(1000)).as_str().len(), LONGEST_WORD);
    }
}
