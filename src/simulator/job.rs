//! One job: its states, and when it moves from one to the next.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::answers::Question;
use super::behaviour::{Behaviour, CancelRace, Outcome};
use super::pace::Pace;
use super::view::File;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobState {
    Queued,
    Executing,
    Delivering,
    Complete,
    Failed,
    Cancelled,
}

impl JobState {
    pub fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Cancelled)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Executing => "EXECUTING",
            Self::Delivering => "DELIVERING",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// No `Debug`: prompt and secret.
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) conversation: Uuid,
    pub(super) prompt: String,
    pub(super) question: Question,
    /// None: the owner of the key.
    pub(super) user: Option<Uuid>,
    /// The only region whose rows the user sees.
    pub(super) region: Option<String>,
    pub(super) model: String,
    pub(super) branch: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) files: Vec<File>,
    pub(super) webhook: Option<Target>,
    pub(super) behaviour: Behaviour,
    pub(super) state: JobState,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    pub(super) pace: Pace,
    pub(super) cancel_asked: bool,
    /// Rating and comment.
    pub(super) feedback: Option<(String, Option<String>)>,
    /// What the webhook got, in order; none: no answer.
    pub(super) deliveries: Vec<Option<u16>>,
    /// What the forged copy got.
    pub(super) forgeries: Vec<Option<u16>>,
    pub(super) wake: Arc<Notify>,
}

/// Where the job's end is told.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) progress: bool,
    pub(super) event: Uuid,
}

/// What the job's runner does next.
pub(super) enum Step {
    /// Looks again at that time, or when the job is woken; none: only then.
    Wait(Option<Instant>),
    Finished,
}

impl Job {
    /// Moves the job on as far as the time allows.
    pub(super) fn step(&mut self, now: Instant, wall: Timestamp) -> Step {
        loop {
            if self.state.is_final() {
                return Step::Finished;
            }
            match self.next(now) {
                Ok(state) => self.enter(state, wall),
                Err(wait) => return Step::Wait(wait),
            }
        }
    }

    fn next(&self, now: Instant) -> Result<JobState, Option<Instant>> {
        let pace = &self.pace;
        let held = self.behaviour.hold == Some(self.state) && !pace.released;
        let leave = |until: Instant, next: JobState| match (held, pace.over(until, now)) {
            (true, _) => Err(None),
            (false, true) => Ok(next),
            (false, false) => Err(Some(until)),
        };
        match self.state {
            JobState::Queued => leave(
                pace.queued_until(),
                match self.behaviour.outcome {
                    Outcome::Denied { .. } => JobState::Failed,
                    _ => JobState::Executing,
                },
            ),
            JobState::Executing => match pace.cancel_at {
                Some(at) if pace.over(at, now) => Ok(JobState::Cancelled),
                Some(at) => Err(Some(at)),
                None => leave(
                    pace.executing_until(),
                    match self.behaviour.outcome {
                        Outcome::Complete => JobState::Delivering,
                        Outcome::Cancelled => JobState::Cancelled,
                        _ => JobState::Failed,
                    },
                ),
            },
            _ => leave(pace.delivering_until(), JobState::Complete),
        }
    }

    pub(super) fn enter(&mut self, state: JobState, wall: Timestamp) {
        self.state = state;
        self.updated = wall;
        if state == JobState::Executing {
            self.started = Some(wall);
        }
        if state.is_final() {
            self.finished = Some(wall);
        }
    }

    /// The state after somebody asked to cancel, or the status the request is refused with.
    pub(super) fn cancel(&mut self, now: Instant, wall: Timestamp) -> Result<JobState, u16> {
        if self.state.is_final() {
            return Ok(self.state);
        }
        self.cancel_asked = true;
        match self.behaviour.cancel {
            CancelRace::Conflict(left) if left > 0 => {
                self.behaviour.cancel = CancelRace::Conflict(left - 1);
                return Err(409);
            }
            CancelRace::TooLate if self.state == JobState::Delivering => return Err(400),
            _ => {}
        }
        match (self.state, self.behaviour.cancel) {
            (JobState::Queued, _) | (JobState::Executing, CancelRace::AtOnce) => self.enter(JobState::Cancelled, wall),
            (JobState::Executing, CancelRace::Overtaken) => {}
            (JobState::Executing, _) => {
                let end = self.pace.iteration_end(now);
                self.pace.cancel_at.get_or_insert(end);
            }
            _ => {}
        }
        self.wake.notify_one();
        Ok(self.state)
    }
}
