//! decide: what an event asks `process` to do. Pure.

use crate::model::JobState;

/// What to do about a final state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Fetch the result, publish `omni.answer`.
    Answer,
    /// Ask for the error, publish `omni.failed`.
    Fail,
    /// Publish `omni.failed` with the reason that came along.
    Deny,
    /// Publish `omni.cancelled`.
    Cancel,
}

/// Decides; `None` for what is no end.
pub(super) fn decide(state: &JobState) -> Option<Step> {
    match state {
        JobState::Complete => Some(Step::Answer),
        JobState::Failed => Some(Step::Fail),
        JobState::Denied => Some(Step::Deny),
        JobState::Cancelled => Some(Step::Cancel),
        JobState::Queued | JobState::Executing | JobState::Delivering | JobState::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_final_states_end_anything() {
        for word in ["QUEUED", "EXECUTING", "DELIVERING", "PONDERING"] {
            assert_eq!(decide(&JobState::parse(word)), None, "{word}");
        }
        assert_eq!(decide(&JobState::Complete), Some(Step::Answer));
    }
}
