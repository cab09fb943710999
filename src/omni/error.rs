//! Why a call to Omni failed, and what may be done about it.

use std::time::Duration;

use reqwest::StatusCode;

use super::detail::Detail;

/// A failed call. Texts complete "failed to …" and hold nothing that Omni or a user wrote; [`OmniError::detail`] does.
#[derive(Debug, thiserror::Error)]
pub enum OmniError {
    /// No connection came about, so not one byte of the request left.
    #[error("connect to omni")]
    NotSent(#[source] TransportError),
    /// The call may be repeated: it reads, or cancels, and its answer did not arrive.
    #[error("receive omni's answer")]
    Interrupted(#[source] TransportError),
    /// The answer did not begin in time.
    #[error("get omni's answer in time")]
    Late,
    /// A create that Omni may or may not have accepted. Never to be sent again by itself.
    #[error("learn whether omni accepted the job: {0}")]
    UnknownOutcome(Doubt),
    /// Omni said no, and will say no again.
    #[error("have omni accept the request: status {}", status.as_u16())]
    Refused { status: StatusCode, detail: Detail },
    #[error("authenticate at omni: status 401")]
    Unauthorized,
    /// Create: a job is active in the conversation. Cancel: the state changed meanwhile, repeat.
    #[error("get past a conflict at omni: status 409")]
    Conflict { detail: Detail },
    #[error("stay inside omni's rate limit: status 429")]
    Throttled { retry_after: Option<Duration> },
    /// The job is not known to Omni, or belongs to somebody else.
    #[error("find the job at omni: status 404")]
    NotFound,
    /// The result is not there: too early, too late, or never.
    #[error("find the result at omni: status {}", status.as_u16())]
    NotReady { status: StatusCode },
    /// Omni or something before it failed at a call that may be repeated.
    #[error("get omni's answer: status {}", status.as_u16())]
    Server { status: StatusCode, retry_after: Option<Duration> },
    /// Followed nowhere. The configured address is not the one that answers.
    #[error("reach omni at the configured address: redirected with status {}", status.as_u16())]
    Redirected { status: StatusCode },
    #[error("read an answer of more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("understand omni's answer: {what}")]
    BadBody { what: &'static str },
    #[error("tell embed users with the same external id apart")]
    AmbiguousUser,
    #[error("act for an embed user that is not active")]
    InactiveUser,
    /// Omni ignored the filter and lists more users than we read; absence is not proven.
    #[error("find the embed user among the first {seen} of the list")]
    UserListTooLong { seen: usize },
}

/// Why nobody knows what became of a create.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    #[error("no answer in time")]
    Timeout(#[source] TransportError),
    #[error("the connection was lost")]
    Lost(#[source] TransportError),
    /// 408, 425 or 5xx.
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    /// A success whose body names no job.
    #[error("the success could not be read")]
    Unreadable,
}

/// A failure below HTTP, without the address that was asked: its query may hold an external id.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TransportError(reqwest::Error);

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> Self {
        Self(error.without_url())
    }
}

impl TransportError {
    pub fn is_timeout(&self) -> bool {
        self.0.is_timeout()
    }

    /// Whether the connection itself did not come about.
    pub(super) fn before_the_first_byte(&self) -> bool {
        self.0.is_connect()
    }
}

impl OmniError {
    /// Whether a create may have been accepted although it failed here.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::UnknownOutcome(_))
    }

    /// Whether there was no answer in time.
    pub fn is_late(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Interrupted(cause) => cause.is_timeout(),
            _ => false,
        }
    }

    /// How long Omni asks us to stay away, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What Omni said, for an entry or a dead letter. Not for the log.
    pub fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Refused { detail, .. } | Self::Conflict { detail } => Some(detail),
            _ => None,
        }
    }

    /// One word of a closed set, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::Interrupted(_) => "interrupted",
            Self::Late => "late",
            Self::UnknownOutcome(_) => "unknown_outcome",
            Self::Refused { .. } => "refused",
            Self::Unauthorized => "unauthorized",
            Self::Conflict { .. } => "conflict",
            Self::Throttled { .. } => "throttled",
            Self::NotFound => "not_found",
            Self::NotReady { .. } => "not_ready",
            Self::Server { .. } => "server",
            Self::Redirected { .. } => "redirected",
            Self::TooLarge { .. } => "too_large",
            Self::BadBody { .. } => "bad_body",
            Self::AmbiguousUser => "ambiguous_user",
            Self::InactiveUser => "inactive_user",
            Self::UserListTooLong { .. } => "user_list_too_long",
        }
    }
}
