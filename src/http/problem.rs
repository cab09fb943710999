//! RFC 9457 problem documents: what a caller learns of a failure. Never internals, never upstream text.
//!
//! A [`Problem`] travels in the response's extensions; the middleware gives it the request's id and writes it down, so
//! that nobody who fails needs to know the id.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::code::Code;
use crate::model::prompt::{FieldError, Invalid};
use crate::omni::OmniError;
use crate::pipeline::IntakeError;
use crate::pipeline::keyring::Halt;
use crate::runtime::chain;
use crate::store::StoreError;

/// Seconds after which another try makes sense.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
/// The same while the backlog is full: by then a few prompts have ended.
const FULL: HeaderValue = HeaderValue::from_static("10");

/// What any call may end in: the store may be away, and the relay wrong.
pub(super) const ANY: [Code; 2] = [Code::Unavailable, Code::Internal];
/// What calls that wait for Omni may end with.
pub(super) const OF_OMNI: [Code; 4] = [Code::Budget, Code::OmniUnauthorized, Code::OmniUnavailable, Code::OmniTimeout];

/// A failure, as its caller sees it, and its cause for the log.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: Code,
    pub(super) detail: &'static str,
    pub(super) errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log alone.
    pub(super) cause: Option<String>,
}

/// What went wrong (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    #[schema(pattern = "^about:blank$")]
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'static str,
    code: Code,
    /// The request's id; the log has it too.
    #[schema(format = "uri", pattern = "^urn:uuid:[0-9a-f-]{36}$")]
    instance: String,
    /// What would be right, field by field.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Vec<FieldError>,
}

impl Problem {
    pub(super) const fn new(code: Code, detail: &'static str) -> Self {
        Self { status: code.status(), code, detail, errors: Vec::new(), headers: Vec::new(), cause: None }
    }

    /// Fields that cannot be used.
    pub(super) fn fields(code: Code, errors: Vec<FieldError>) -> Self {
        let detail = "see errors for what would be right";
        Self { errors, ..Self::new(code, detail) }
    }

    /// A body that cannot be used; `code` says what it was to be.
    pub(super) fn invalid(code: Code, invalid: Invalid) -> Self {
        match invalid {
            Invalid::Syntax => Self::malformed(),
            Invalid::TooLarge => Self::of_status(StatusCode::PAYLOAD_TOO_LARGE),
            Invalid::Fields(errors) => Self::fields(code, errors),
        }
    }

    /// A body that nobody can read.
    pub(super) const fn malformed() -> Self {
        Self::new(Code::MalformedJson, "the body is not JSON")
    }

    /// Redis is away, or does not do what is asked of it. Trying again is safe.
    pub(super) fn unavailable(error: &StoreError) -> Self {
        let detail = "the relay cannot reach its store; try again";
        let mut problem = Self::new(Code::Unavailable, detail);
        problem.cause = Some(chain(error));
        problem.with_header(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// There is no room for a request to Omni before this long.
    fn over_budget(pause: Duration) -> Self {
        let detail = "Omni's limit on requests is reached; try again later";
        Self::new(Code::Budget, detail).not_before(pause)
    }

    /// Another try makes no sense before this long.
    fn not_before(self, pause: Duration) -> Self {
        let seconds = (pause + Duration::from_millis(999)).as_secs().max(1);
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(super) fn internal(cause: impl Into<String>) -> Self {
        let problem = Self::new(Code::Internal, "the log has more under the instance's id");
        Self { cause: Some(cause.into()), ..problem }
    }

    /// What a status alone says; for answers that were not made here.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::BAD_REQUEST => (Code::BadRequest, "the request cannot be read"),
            StatusCode::UNAUTHORIZED => (Code::Unauthorized, ""),
            StatusCode::NOT_FOUND => (Code::NotFound, "there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => (Code::MethodNotAllowed, "see the Allow header"),
            StatusCode::REQUEST_TIMEOUT => (Code::RequestTimeout, "the request took too long to arrive"),
            StatusCode::PAYLOAD_TOO_LARGE => (Code::PayloadTooLarge, "the body is too large"),
            _ if status.as_u16() < 500 => (Code::BadRequest, ""),
            _ => (Code::Internal, "the log has more under the instance's id"),
        };
        Self { status, ..Self::new(code, detail) }
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Seconds after which its caller may try again.
    pub(super) fn retry_after(&self) -> Option<u64> {
        let (_, seconds) = self.headers.iter().find(|(name, _)| name == header::RETRY_AFTER)?;
        seconds.to_str().ok()?.parse().ok()
    }

    /// The document under the id of its request.
    pub(super) fn document(&self, id: Uuid) -> Document {
        Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            instance: id.urn().to_string(),
            errors: self.errors.clone(),
        }
    }

    /// The same as a body.
    pub(super) fn body(&self, id: Uuid) -> Body {
        Body::from(serde_json::to_vec(&self.document(id)).unwrap_or_default())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { .. } => Self::internal(chain(&error)),
            other => Self::unavailable(&other),
        }
    }
}

/// Why Omni was not asked, or gave no answer that is the caller's.
impl From<Halt> for Problem {
    fn from(halt: Halt) -> Self {
        let cause = Some(chain(&halt));
        let failed = |code, detail| Self { cause, ..Self::new(code, detail) };
        let pause = match &halt {
            Halt::Omni(error) => error.retry_after(),
            _ => None,
        };
        let problem = match halt {
            Halt::Wait { pause, .. } => return Self::over_budget(pause),
            Halt::Omni(OmniError::Throttled { retry_after }) => {
                return Self::over_budget(retry_after.unwrap_or_default());
            }
            // Omni's 401 is about the relay's key: a caller that saw it would look for another of its own.
            Halt::Omni(OmniError::Unauthorized) => failed(Code::OmniUnauthorized, "Omni refuses the relay's API key"),
            Halt::Omni(error) if error.is_late() => failed(Code::OmniTimeout, "Omni did not answer in time"),
            Halt::Omni(_) | Halt::Odd(_) => failed(Code::OmniUnavailable, "Omni cannot be reached, or failed"),
            Halt::Store(error) => return error.into(),
        };
        match pause {
            Some(pause) => problem.not_before(pause),
            None => problem,
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Invalid(invalid) => Self::invalid(Code::InvalidPrompt, invalid),
            IntakeError::KeyReused => {
                Self::new(Code::IdempotencyKeyReused, "the idempotency key was used for another prompt")
            }
            IntakeError::UserMismatch => {
                Self::new(Code::ConversationUserMismatch, "the conversation belongs to another user")
            }
            IntakeError::ConversationMismatch => {
                Self::new(Code::ConversationMismatch, "conversation and conversationId name different conversations")
            }
            IntakeError::UnknownConversation => Self::new(Code::ConversationNotFound, "there is no such conversation"),
            IntakeError::Full(share) => Self::new(Code::Backlog, share.words()).with_header(header::RETRY_AFTER, FULL),
            IntakeError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_late_is_told_from_one_that_failed() {
        let problem = Problem::from(Halt::Omni(OmniError::Late));
        assert_eq!((problem.status.as_u16(), problem.code), (504, Code::OmniTimeout));
        let problem =
            Problem::from(Halt::Wait { pause: Duration::from_millis(1001), cause: crate::model::Cause::Budget });
        assert_eq!((problem.status.as_u16(), problem.retry_after()), (429, Some(2)));
    }
}
