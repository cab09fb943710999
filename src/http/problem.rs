//! RFC 9457 problem documents: what a caller learns of a failure. Never internals, never upstream text.
//!
//! A [`Problem`] travels in the response's extensions; the middleware gives it the request's id and writes it down, so
//! that nobody who fails needs to know the id.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use crate::model::prompt::{FieldError, Invalid};
use crate::omni::OmniError;
use crate::pipeline::IntakeError;
use crate::pipeline::keyring::Halt;
use crate::runtime::chain;
use crate::store::StoreError;
use crate::store::backlog::Share;

/// Seconds after which another try makes sense.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
/// The same while the backlog is full: by then a few prompts have ended.
const FULL: HeaderValue = HeaderValue::from_static("10");

/// A failure, as its caller sees it, and its cause for the log.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    detail: &'static str,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log alone.
    pub(super) cause: Option<String>,
}

/// The document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'static str,
    code: &'static str,
    instance: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Vec<FieldError>,
}

impl Problem {
    pub(super) const fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self { status, code, detail, errors: Vec::new(), headers: Vec::new(), cause: None }
    }

    /// Fields that cannot be used.
    pub(super) fn fields(code: &'static str, errors: Vec<FieldError>) -> Self {
        let detail = "see errors for what would be right";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail) }
    }

    /// A body that nobody can read.
    pub(super) const fn malformed() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", "the body is not JSON")
    }

    /// Redis is away, or does not do what is asked of it. Trying again is safe.
    pub(super) fn unavailable(error: &StoreError) -> Self {
        let detail = "the relay cannot reach its store; try again";
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        problem.cause = Some(chain(error));
        problem.with_header(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// There is no room for a request to Omni before this long.
    fn over_budget(pause: Duration) -> Self {
        let detail = "Omni's limit on requests is reached; try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "budget", detail).not_before(pause)
    }

    /// Another try makes no sense before this long.
    fn not_before(self, pause: Duration) -> Self {
        let seconds = (pause + Duration::from_millis(999)).as_secs().max(1);
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(super) fn internal(cause: impl Into<String>) -> Self {
        let problem =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the log has more under the instance's id");
        Self { cause: Some(cause.into()), ..problem }
    }

    /// What a status alone says; for answers that were not made here.
    pub(super) const fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::BAD_REQUEST => ("bad_request", "the request cannot be read"),
            StatusCode::UNAUTHORIZED => ("unauthorized", ""),
            StatusCode::NOT_FOUND => ("not_found", "there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "see the Allow header"),
            StatusCode::REQUEST_TIMEOUT => ("request_timeout", "the request took too long to arrive"),
            StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "the body is too large"),
            _ if status.as_u16() < 500 => ("bad_request", ""),
            _ => ("internal", "the log has more under the instance's id"),
        };
        Self::new(status, code, detail)
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
        let failed = |status, code, detail| Self { cause, ..Self::new(status, code, detail) };
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
            Halt::Omni(OmniError::Unauthorized) => {
                failed(StatusCode::BAD_GATEWAY, "omni_unauthorized", "Omni refuses the relay's API key")
            }
            Halt::Omni(error) if error.is_late() => {
                failed(StatusCode::GATEWAY_TIMEOUT, "omni_timeout", "Omni did not answer in time")
            }
            Halt::Omni(_) | Halt::Odd(_) => {
                failed(StatusCode::BAD_GATEWAY, "omni_unavailable", "Omni cannot be reached, or failed")
            }
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
        let code = error.code();
        match error {
            IntakeError::Invalid(Invalid::Syntax) => Self::malformed(),
            IntakeError::Invalid(Invalid::TooLarge) => Self::of_status(StatusCode::PAYLOAD_TOO_LARGE),
            IntakeError::Invalid(Invalid::Fields(errors)) => Self::fields(code, errors),
            IntakeError::KeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "the idempotency key was used for another prompt")
            }
            IntakeError::UserMismatch => {
                Self::new(StatusCode::CONFLICT, code, "the conversation belongs to another user")
            }
            IntakeError::ConversationMismatch => {
                Self::new(StatusCode::CONFLICT, code, "conversation and conversationId name different conversations")
            }
            IntakeError::UnknownConversation => Self::new(StatusCode::NOT_FOUND, code, "there is no such conversation"),
            IntakeError::Full(share) => {
                let detail = match share {
                    Share::Tenant => "the tenant has its share of unfinished prompts; try again later",
                    Share::All => "there are too many unfinished prompts; try again later",
                };
                Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).with_header(header::RETRY_AFTER, FULL)
            }
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
        assert_eq!((problem.status.as_u16(), problem.code), (504, "omni_timeout"));
        let problem = Problem::from(Halt::Wait { pause: Duration::from_millis(1001), cause: "budget" });
        assert_eq!((problem.status.as_u16(), problem.retry_after()), (429, Some(2)));
    }
}
