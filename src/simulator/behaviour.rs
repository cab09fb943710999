//! What one job does that an ordinary one would not: chosen by a test, by the options or by a marker in the prompt.

use std::time::Duration;

use super::job::JobState;

/// How one job behaves. The default is a job that completes and tells of it once.
///
/// Every method changes one thing and leaves the rest, so they chain: `Behaviour::new().late(ms).twice()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a behaviour does nothing until it is given to the simulator"]
pub struct Behaviour {
    pub create: CreateReply,
    pub outcome: Outcome,
    /// Overrides the simulator's range.
    pub duration: Option<Duration>,
    /// The state in which the job stays until it is released.
    pub hold: Option<JobState>,
    pub cancel: CancelRace,
    pub webhook: WebhookPlan,
    pub result: ResultPlan,
}

/// How the POST that creates the job is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CreateReply {
    #[default]
    Created,
    /// This status, and no job.
    Refused(u16),
    /// This status, although the job exists and runs.
    Lost(u16),
    /// No answer: the connection is closed, although the job exists and runs.
    Dropped,
}

/// How the job ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    #[default]
    Complete,
    Failed {
        code: String,
        message: String,
    },
    /// Refused before it began; the webhook names `job.denied` and the reason, the status says FAILED.
    Denied {
        reason: String,
    },
    /// Cancelled by somebody in Omni.
    Cancelled,
}

/// What comes of a request to cancel the running job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelRace {
    /// Answered EXECUTING; the job is CANCELLED when its iteration ends.
    #[default]
    AfterIteration,
    /// Answered CANCELLED.
    AtOnce,
    /// Answered EXECUTING, and the job ends as if nobody had asked.
    Overtaken,
    /// 409 so many times, then as `AfterIteration`.
    Conflict(u32),
    /// In DELIVERING 400, as some of the documentation has it, not 200.
    TooLate,
}

/// How the job's end is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookPlan {
    /// 0: never.
    pub copies: u32,
    /// All copies at once, not one after the other.
    pub concurrently: bool,
    pub event_ids: EventIds,
    pub timing: Timing,
    /// Waited before the first copy.
    pub delay: Duration,
    /// First a copy that says FAILED and is signed with another secret.
    pub forged: bool,
    /// Tell of a CANCELLED job too; by default nobody does.
    pub on_cancel: bool,
}

impl Default for WebhookPlan {
    fn default() -> Self {
        Self {
            copies: 1,
            concurrently: false,
            event_ids: EventIds::Same,
            timing: Timing::WhenFinished,
            delay: Duration::ZERO,
            forged: false,
            on_cancel: false,
        }
    }
}

/// Whether further copies carry the first one's `event_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventIds {
    Same,
    Fresh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    WhenFinished,
    /// The job finishes at once, and the webhook is delivered and answered before the create is.
    BeforeCreateReply,
    /// After another job's webhook has arrived; after five seconds without one regardless.
    AfterAnotherJob,
}

/// What is odd about the result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is odd by itself")]
pub struct ResultPlan {
    /// 404 so many times although the job is complete.
    pub missing: u32,
    /// Padded with CSV rows to at least so many bytes.
    pub bytes: Option<usize>,
    /// A first query failed: an action with status `failed` and a result without CSV.
    pub failed_action: bool,
    /// Neither a message nor a summary: only the status says what was found.
    pub wordless: bool,
    /// The CSV is cut, with `#` lines between its parts.
    pub truncated: bool,
    /// There is nothing to draw.
    pub no_chart: bool,
}

impl Behaviour {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn late(mut self, delay: Duration) -> Self {
        self.webhook.delay = delay;
        self
    }

    pub fn twice(self) -> Self {
        self.copies(2)
    }

    pub fn copies(mut self, copies: u32) -> Self {
        self.webhook.copies = copies;
        self
    }

    pub fn at_once(mut self, copies: u32) -> Self {
        self.webhook.concurrently = true;
        self.copies(copies)
    }

    pub fn never(self) -> Self {
        self.copies(0)
    }

    pub fn fresh_event_ids(mut self) -> Self {
        self.webhook.event_ids = EventIds::Fresh;
        self
    }

    pub fn reordered(mut self) -> Self {
        self.webhook.timing = Timing::AfterAnotherJob;
        self
    }

    pub fn before_create_reply(mut self) -> Self {
        self.webhook.timing = Timing::BeforeCreateReply;
        self
    }

    pub fn forged(mut self) -> Self {
        self.webhook.forged = true;
        self
    }

    pub fn tell_of_cancel(mut self) -> Self {
        self.webhook.on_cancel = true;
        self
    }

    pub fn failed(mut self, code: &str, message: &str) -> Self {
        self.outcome = Outcome::Failed { code: code.to_owned(), message: message.to_owned() };
        self
    }

    pub fn denied(mut self, reason: &str) -> Self {
        self.outcome = Outcome::Denied { reason: reason.to_owned() };
        self
    }

    pub fn cancelled(mut self) -> Self {
        self.outcome = Outcome::Cancelled;
        self
    }

    pub fn slow(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    pub fn held(self) -> Self {
        self.held_in(JobState::Executing)
    }

    /// Holding makes sense in QUEUED, EXECUTING and DELIVERING only.
    pub fn held_in(mut self, state: JobState) -> Self {
        self.hold = Some(state);
        self
    }

    pub fn refused(mut self, status: u16) -> Self {
        self.create = CreateReply::Refused(status);
        self
    }

    pub fn lost(mut self, status: u16) -> Self {
        self.create = CreateReply::Lost(status);
        self
    }

    pub fn dropped(mut self) -> Self {
        self.create = CreateReply::Dropped;
        self
    }

    pub fn cancel(mut self, race: CancelRace) -> Self {
        self.cancel = race;
        self
    }

    pub fn missing_result(mut self, times: u32) -> Self {
        self.result.missing = times;
        self
    }

    pub fn huge_result(mut self, bytes: usize) -> Self {
        self.result.bytes = Some(bytes);
        self
    }

    pub fn failed_action(mut self) -> Self {
        self.result.failed_action = true;
        self
    }

    pub fn wordless(mut self) -> Self {
        self.result.wordless = true;
        self
    }

    pub fn truncated(mut self) -> Self {
        self.result.truncated = true;
        self
    }

    pub fn no_chart(mut self) -> Self {
        self.result.no_chart = true;
        self
    }
}
