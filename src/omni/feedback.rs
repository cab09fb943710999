//! Tell Omni what a user thinks of an answer.

use reqwest::Method;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::OmniError;
use crate::model::Feedback;

impl Omni {
    /// `user_id` is whom the job was created for. Once a job: [`OmniError::Conflict`] where it was rated before, or did not
    /// end by itself.
    pub async fn feedback(
        &self,
        key: &ApiKey,
        job_id: Uuid,
        user_id: Option<Uuid>,
        feedback: &Feedback,
    ) -> Result<(), OmniError> {
        let request = self.request(Method::POST, key, &format!("/api/v1/ai/jobs/{job_id}/feedback")).json(feedback);
        let request = match user_id {
            Some(user_id) => request.query(&[("userId", user_id)]),
            None => request,
        };
        self.call(Operation::Feedback, request, MAX_ANSWER).await.map(drop)
    }
}
