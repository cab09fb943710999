//! What a stage is, and what it may decide about a delivery.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::dead_letter::Reason;
use crate::model::work::VERSION;
use crate::model::{Cause, Entry, Envelope, Finding, PromptId, Tenant};
use crate::store::StoreError;
use crate::store::delivery::{Delivery, Stream};
use crate::store::publish::Published;
use crate::store::settle::Ending;

/// What is to become of a delivery. The worker carries it out.
#[derive(Debug)]
pub enum Disposition {
    /// Nothing more to do.
    Done,
    /// Nothing at all to do: accepting the prompt settled the delivery.
    Accepted,
    /// The delivery was nobody's when it was to take effect, or another's. Whoever has it by now decides, and that may be
    /// this very consumer: it is left alone.
    Lost,
    /// The prompt's terminal entry is out.
    Settle(Box<Ending>),
    /// An entry is out that ends nothing.
    Tell(Box<Entry>, Published),
    /// The prompt will not be submitted; its readers are owed this.
    Refuse(Finding),
    /// It cannot go on now. Counts no attempt.
    Wait {
        /// For how long.
        pause: Duration,
        /// What it waits for.
        cause: Cause,
    },
    /// It cannot go on now, and nothing may overtake it: it keeps its place, and is handled again after the pause. Counts no
    /// attempt.
    Hold {
        /// For how long.
        pause: Duration,
        /// What it waits for.
        cause: Cause,
    },
    /// It failed, and may work later. Counts one attempt.
    Retry {
        /// What failed, without data of the customer.
        error: String,
        /// The other side asked for this long.
        not_before: Option<Duration>,
    },
    /// It will not work; a person can still help.
    Bury {
        /// Why.
        reason: Reason,
        /// What failed.
        error: String,
        /// What readers are owed, where no prompt of ours says it.
        finding: Option<Finding>,
    },
}

impl Disposition {
    /// A label for metrics.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Accepted => "accepted",
            Self::Lost => "lost",
            Self::Settle(_) => "settled",
            Self::Tell(..) => "told",
            Self::Refuse(_) => "refused",
            Self::Wait { .. } => "wait",
            Self::Hold { .. } => "pending",
            Self::Retry { .. } => "retry",
            Self::Bury { .. } => "dead",
        }
    }
}

/// How much work may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// This much, at least one entry.
    Some(usize),
    /// None before this long.
    NotBefore(Duration),
}

/// An entry that nobody can read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the entry: {0}")]
pub struct Malformed(pub String);

/// One stage: what it reads, and what it does with it.
pub trait Stage: Send + Sync + 'static {
    /// What an entry asks for.
    type Work: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Where entries come from.
    const STREAM: Stream;

    /// Whether entries are handled one after the other, by one replica at a time.
    const IN_ORDER: bool = false;

    /// Reads an entry.
    fn read(&self, delivery: &Delivery) -> Result<Envelope<Self::Work>, Malformed> {
        let bytes = delivery.field("entry").ok_or_else(|| Malformed("it has no field `entry`".to_owned()))?;
        let envelope: Envelope<Self::Work> = serde_json::from_slice(bytes)
            .map_err(|error| Malformed(format!("not an entry at column {}", error.column())))?;
        if envelope.v == VERSION {
            Ok(envelope)
        } else {
            Err(Malformed(format!("version {} is not known", envelope.v)))
        }
    }

    /// Handles one entry. An error is the store's: the worker tries again once Redis answers.
    fn handle(
        &self,
        delivery: &Delivery,
        envelope: &Envelope<Self::Work>,
    ) -> impl Future<Output = Result<Disposition, StoreError>> + Send;

    /// How much of the work for `free` handlers may begin now, while others are `busy`. A stage with a queue of its own
    /// makes it available.
    fn admit(&self, free: usize, _busy: usize) -> impl Future<Output = Result<Admission, StoreError>> + Send {
        async move { Ok(Admission::Some(free)) }
    }

    /// The prompt that the work is about, where it is known without asking.
    fn prompt(&self, work: &Self::Work) -> Option<PromptId>;

    /// Omni's job that the work is about, where it names one.
    fn job(&self, _work: &Self::Work) -> Option<String> {
        None
    }

    /// Whose the entry is, where no conversation says so.
    fn tenant(&self, _delivery: &Delivery) -> Tenant {
        Tenant::default()
    }

    /// What becomes of work that waited longer than a wait may last.
    fn overdue(&self, work: &Self::Work) -> impl Future<Output = Result<Disposition, StoreError>> + Send;
}
