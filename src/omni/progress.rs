//! How far a job is, as its status and its webhooks on the way tell it.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use super::lenient::{self, Member};

/// What the agent is doing right now; any of it may be missing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Grows while the job runs.
    pub iteration: Option<usize>,
    /// For people; data like the answer.
    pub message: Option<String>,
    pub updated_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    iteration: Member<'a>,
    #[serde(borrow)]
    message: Member<'a>,
    #[serde(borrow)]
    updated_at: Member<'a>,
    #[serde(borrow, rename = "updated_at")]
    updated_at_snake: Member<'a>,
}

impl Progress {
    /// `None` for what is no object.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_slice(json).ok()?;
        Some(Self {
            iteration: lenient::count(wire.iteration),
            message: lenient::text(wire.message),
            updated_at: lenient::time(wire.updated_at).or_else(|| lenient::time(wire.updated_at_snake)),
        })
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("iteration", &self.iteration).finish_non_exhaustive()
    }
}
