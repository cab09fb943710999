//! The codes of problems: what a program goes by.

use std::fmt;

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong, in one word of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProblemCode)]
pub(super) enum Code {
    MalformedJson,
    InvalidPosition,
    BadRequest,
    Unauthorized,
    InvalidToken,
    MissingScope,
    OperatorsOnly,
    NotAllowed,
    UserNotFound,
    UserAmbiguous,
    UserInactive,
    CrossSite,
    PromptNotFound,
    ConversationNotFound,
    NoTokens,
    DeadLetterNotFound,
    RunNotFound,
    StageNotFound,
    TenantNotFound,
    NothingKnown,
    ResultNotFound,
    ChartNotFound,
    SessionNotFound,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ConversationUserMismatch,
    ConversationMismatch,
    NotFinished,
    NoJob,
    FeedbackRefused,
    NotEditable,
    PayloadTooLarge,
    InvalidPrompt,
    InvalidBatch,
    InvalidTokenRequest,
    InvalidFeedback,
    InvalidRun,
    InvalidParameter,
    IdempotencyKeyReused,
    TooManyAttempts,
    Backlog,
    Budget,
    Internal,
    OmniUnauthorized,
    OmniUnavailable,
    Unavailable,
    OmniTimeout,
}

impl Code {
    /// The status of an answer with this code.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::MalformedJson | Self::InvalidPosition | Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::MissingScope
            | Self::OperatorsOnly
            | Self::NotAllowed
            | Self::UserNotFound
            | Self::UserAmbiguous
            | Self::UserInactive
            | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::PromptNotFound
            | Self::ConversationNotFound
            | Self::NoTokens
            | Self::DeadLetterNotFound
            | Self::RunNotFound
            | Self::StageNotFound
            | Self::TenantNotFound
            | Self::NothingKnown
            | Self::ResultNotFound
            | Self::ChartNotFound
            | Self::SessionNotFound
            | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ConversationUserMismatch
            | Self::ConversationMismatch
            | Self::NotFinished
            | Self::NoJob
            | Self::FeedbackRefused
            | Self::NotEditable => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidPrompt
            | Self::InvalidBatch
            | Self::InvalidTokenRequest
            | Self::InvalidFeedback
            | Self::InvalidRun
            | Self::InvalidParameter
            | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyAttempts | Self::Backlog | Self::Budget => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::OmniUnauthorized | Self::OmniUnavailable => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::OmniTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// As in the document.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
