//! decide: what an event asks `process` to do. Pure.

use std::time::Duration;

use crate::model::{JobState, Phase};
use crate::runtime::hasten;

/// What to do about a final state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The create that made this job is still being recorded: look again soon.
    Hold,
    /// Fetch the result, publish `omni.answer`.
    Answer,
    /// Ask for the error, publish `omni.failed`.
    Fail,
    /// Publish `omni.failed` with the reason that came along.
    Deny,
    /// Publish `omni.cancelled`.
    Cancel,
    /// Not an end: nothing to publish.
    Ignore,
}

/// How long the answer to a create may take to be recorded before its webhook is taken for what it is.
pub(super) const RECORDING: Duration = Duration::from_secs(5);

/// Decides. `sending_for` is how long the prompt has been in `sending`.
pub(super) fn decide(phase: Phase, state: &JobState, sending_for: Duration) -> Step {
    if phase == Phase::Sending && sending_for < hasten(RECORDING) {
        return Step::Hold;
    }
    match state {
        JobState::Complete => Step::Answer,
        JobState::Failed => Step::Fail,
        JobState::Denied => Step::Deny,
        JobState::Cancelled => Step::Cancel,
        JobState::Queued | JobState::Executing | JobState::Delivering | JobState::Unknown(_) => Step::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_that_overtakes_the_201_waits_a_little() {
        let state = JobState::Complete;
        assert_eq!(decide(Phase::Sending, &state, Duration::from_millis(10)), Step::Hold);
        assert_eq!(decide(Phase::Sending, &state, RECORDING), Step::Answer, "the create's outcome is unknown: adopt");
        assert_eq!(decide(Phase::Submitted, &state, Duration::ZERO), Step::Answer);
    }

    #[test]
    fn only_final_states_end_anything() {
        for word in ["QUEUED", "EXECUTING", "DELIVERING", "PONDERING"] {
            assert_eq!(decide(Phase::Submitted, &JobState::parse(word), Duration::ZERO), Step::Ignore, "{word}");
        }
    }
}
