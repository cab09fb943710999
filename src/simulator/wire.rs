//! The simulator's own wire structs: what it reads strictly, and how it writes.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::job::JobState;

/// Body of a create. Unknown keys and nulls are refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateBody {
    pub(super) model_id: String,
    pub(super) prompt: String,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) conversation_id: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) branch_id: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) topic_name: Option<String>,
    #[serde(default)]
    pub(super) attachments: Vec<AttachmentBody>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) webhook_url: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) webhook_signing_secret: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) webhook_metadata: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) progress_webhook_enabled: bool,
    /// Accepted and not used.
    #[serde(default, deserialize_with = "not_null", rename = "requestedLlm")]
    pub(super) _requested_llm: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AttachmentBody {
    pub(super) data: String,
    pub(super) mime_type: String,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackBody {
    pub(super) rating: String,
    #[serde(default, deserialize_with = "not_null")]
    pub(super) comment: Option<String>,
}

fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Created {
    pub(super) job_id: Uuid,
    pub(super) conversation_id: Uuid,
    pub(super) omni_chat_url: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cancelled {
    pub(super) job_id: Uuid,
    pub(super) state: JobState,
}

/// An error as the API writes it: `{detail, status}`.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: u16, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, detail: detail.into(), retry_after: None }
    }

    pub(super) fn bad_request(detail: impl std::fmt::Display) -> Self {
        Self::new(400, format!("Bad Request: {detail}"))
    }

    pub(super) fn no_job(id: Uuid) -> Self {
        Self::new(404, format!("Job {id} not found"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "detail": self.detail, "status": self.status.as_u16() }));
        let mut response = (self.status, body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A UUID in its usual spelling, or 400.
pub(super) fn uuid(name: &str, text: &str) -> Result<Uuid, Refusal> {
    Uuid::try_parse(text)
        .ok()
        .filter(|_| text.len() == 36)
        .ok_or_else(|| Refusal::bad_request(format_args!("{name}: Invalid uuid")))
}
