//! What happened to something, in order, and what happens next. For people and for programs; no prompt and no answer is in it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{Cause, Tenant};

/// The story of one thing.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// What the id was taken for
    pub kind: Kind,
    /// What was asked about
    pub id: String,
    /// The prompt that it comes down to
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// Its conversation's full name
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Omni's job
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Where the prompt stands
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'static str>,
    /// The trace that it was accepted under
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// What happened, the oldest first
    pub steps: Vec<Step>,
    /// What happens next; nothing where everything has happened
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// Of a conversation: who waits for it, in order; a thousand at most
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
    #[serde(skip)]
    pub(super) owner: Tenant,
}

/// What an id may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Prompt,
    Job,
    Event,
    Conversation,
    IdempotencyKey,
    DeadLetter,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    pub at: Timestamp,
    /// What happened, in a few words
    pub what: String,
    /// More about it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it had to wait for before, where it had to
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Waited>,
}

/// A wait that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Waited {
    pub cause: Cause,
    /// For how long, in milliseconds
    pub ms: u64,
    /// The prompt that was waited for
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Next {
    /// What, in a few words
    pub what: String,
    /// When, where that is known
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What it waits for
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The prompt that it waits for
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// When its time is over
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Story {
    /// Whose it is.
    pub const fn owner(&self) -> &Tenant {
        &self.owner
    }
}

impl Step {
    pub(super) fn new(at: u64, what: impl Into<String>) -> Self {
        Self { at: time(at), what: what.into(), detail: None, waits: Vec::new() }
    }

    pub(super) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(super) fn waits(self, waits: Vec<Waited>) -> Self {
        Self { waits, ..self }
    }
}

impl Next {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: None, cause: None, on: None, expires_at: None }
    }

    pub(super) fn at(self, at: Option<u64>) -> Self {
        Self { at: at.map(time), ..self }
    }

    pub(super) fn cause(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }
}

/// Unix milliseconds as a time.
pub(super) fn time(milliseconds: u64) -> Timestamp {
    let at = i64::try_from(milliseconds).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.unwrap_or(Timestamp::UNIX_EPOCH)
}
