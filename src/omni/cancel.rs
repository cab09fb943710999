//! Ask Omni to stop a job. Repeatable, and no proof: the job may still complete.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::OmniError;
use super::lenient::{self, Member};
use crate::model::JobState;

const LONGEST_CANCEL: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    state: Member<'a>,
    #[serde(borrow)]
    status: Member<'a>,
}

impl Omni {
    /// The state after the attempt. A refusal with 400 means that it was too late: read the status.
    pub async fn cancel(&self, key: &ApiKey, job_id: Uuid) -> Result<JobState, OmniError> {
        let request = self
            .request(Method::POST, key, &format!("/api/v1/ai/jobs/{job_id}/cancel"))
            .timeout(LONGEST_CANCEL.min(self.timeout()));
        let body = self.call(Operation::Cancel, request, MAX_ANSWER).await?;
        let bad = |what| OmniError::BadBody { what };
        let wire: Wire<'_> = serde_json::from_slice(&body).map_err(|_| bad("the cancellation is no object"))?;
        let state = lenient::text(wire.state).or_else(|| lenient::text(wire.status));
        Ok(JobState::parse(&state.ok_or_else(|| bad("the cancellation has no state"))?))
    }
}
