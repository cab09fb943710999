//! Ask for the state of a job.

use std::fmt;

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::OmniError;
use super::lenient::{self, Member};
use super::progress::Progress;
use crate::model::JobState;

/// A job as Omni sees it. Only the id and the state are always there.
#[derive(Clone)]
pub struct JobStatus {
    pub id: Uuid,
    pub state: JobState,
    pub conversation_id: Option<Uuid>,
    /// While executing.
    pub progress: Option<Progress>,
    /// When complete; usually the whole answer, and data like it.
    pub result_summary: Option<String>,
    /// When failed.
    pub error: Option<JobError>,
    pub omni_chat_url: Option<String>,
    /// The whole answer as it came, with what is not named here.
    pub raw: Box<RawValue>,
}

/// Why a job failed, in Omni's words: data, not for the log.
#[derive(Clone, PartialEq, Eq)]
pub struct JobError {
    pub code: Option<String>,
    pub message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    id: Member<'a>,
    #[serde(borrow)]
    state: Member<'a>,
    #[serde(borrow)]
    status: Member<'a>,
    #[serde(borrow)]
    conversation_id: Member<'a>,
    #[serde(borrow)]
    progress: Member<'a>,
    #[serde(borrow)]
    result_summary: Member<'a>,
    #[serde(borrow)]
    error: Member<'a>,
    #[serde(borrow)]
    omni_chat_url: Member<'a>,
}

#[derive(Deserialize)]
struct WireError<'a> {
    #[serde(borrow)]
    code: Member<'a>,
    #[serde(borrow)]
    message: Member<'a>,
    #[serde(borrow)]
    detail: Member<'a>,
}

impl Omni {
    pub async fn status(&self, key: &ApiKey, job_id: Uuid) -> Result<JobStatus, OmniError> {
        let request = self.request(Method::GET, key, &format!("/api/v1/ai/jobs/{job_id}"));
        let body = self.call(Operation::Status, request, MAX_ANSWER).await?;
        JobStatus::read(job_id, &body)
    }
}

impl JobStatus {
    fn read(asked: Uuid, body: &[u8]) -> Result<Self, OmniError> {
        let bad = |what| OmniError::BadBody { what };
        let raw: Box<RawValue> = serde_json::from_slice(body).map_err(|_| bad("the status is no json"))?;
        let wire: Wire<'_> = serde_json::from_str(raw.get()).map_err(|_| bad("the status is no object"))?;
        if lenient::read::<Uuid>(wire.id).is_some_and(|id| id != asked) {
            return Err(bad("the status is that of another job"));
        }
        let state = lenient::text(wire.state).or_else(|| lenient::text(wire.status));
        Ok(Self {
            id: asked,
            state: JobState::parse(&state.ok_or_else(|| bad("the status has no state"))?),
            conversation_id: lenient::read(wire.conversation_id),
            progress: wire.progress.and_then(|progress| Progress::read(progress.get().as_bytes())),
            result_summary: lenient::text(wire.result_summary),
            error: wire.error.and_then(JobError::read),
            omni_chat_url: lenient::text(wire.omni_chat_url),
            raw,
        })
    }
}

impl JobError {
    fn read(error: &RawValue) -> Option<Self> {
        if let Some(message) = lenient::text(Some(error)) {
            return Some(Self { code: None, message: Some(message) });
        }
        let wire: WireError<'_> = serde_json::from_str(error.get()).ok()?;
        let message = lenient::text(wire.message).or_else(|| lenient::text(wire.detail));
        Some(Self { code: lenient::text(wire.code), message })
    }
}

impl fmt::Debug for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobStatus").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobError").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn read(body: &str) -> Result<JobStatus, OmniError> {
        JobStatus::read(ID, body.as_bytes())
    }

    #[test]
    fn state_comes_first_then_status() {
        assert_eq!(read(r#"{"state":"EXECUTING","status":"success"}"#).unwrap().state, JobState::Executing);
        assert_eq!(read(r#"{"status":"completed"}"#).unwrap().state, JobState::Complete);
        assert!(matches!(read("{}"), Err(OmniError::BadBody { .. })));
    }

    #[test]
    fn members_of_a_wrong_type_are_absent_and_the_rest_survives() {
        let status =
            read(r#"{"state":"FAILED","progress":3,"error":{"code":5,"message":"m","x":1},"new":[1]}"#).unwrap();
        assert!(status.progress.is_none());
        assert!(status.error == Some(JobError { code: None, message: Some("m".into()) }));
        assert!(status.raw.get().contains(r#""new":[1]"#));
    }

    #[test]
    fn the_status_of_another_job_is_not_taken_for_this_one() {
        let body = format!(r#"{{"id":"{}","state":"COMPLETE"}}"#, Uuid::from_u128(8));
        assert!(matches!(read(&body), Err(OmniError::BadBody { .. })));
    }

    #[test]
    fn debug_tells_no_data() {
        let status = read(r#"{"state":"FAILED","resultSummary":"ACME","error":{"message":"ACME"},"prompt":"ACME"}"#);
        let status = status.unwrap();
        assert!(!format!("{status:?} {:?}", status.error).contains("ACME"));
    }
}
