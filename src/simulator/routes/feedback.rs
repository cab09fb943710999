//! `POST /api/v1/ai/jobs/{jobId}/feedback[?userId=]`: once, on a job that is complete or failed.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

use super::super::core::Core;
use super::super::job::JobState;
use super::super::wire::{FeedbackBody, Refusal, uuid};
use super::create::For;

pub(super) async fn feedback(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    Query(who): Query<For>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let id = uuid("jobId", &id)?;
    let user = who.user_id.as_deref().map(|id| uuid("userId", id)).transpose()?;
    let body: FeedbackBody = serde_json::from_slice(&body).map_err(Refusal::bad_request)?;
    if !["good", "bad"].contains(&body.rating.as_str()) {
        return Err(Refusal::bad_request("rating: good or bad"));
    }
    if body.comment.as_ref().is_some_and(|comment| !(1..=5000).contains(&comment.chars().count())) {
        return Err(Refusal::bad_request("comment: 1 to 5000 characters"));
    }
    core.change(|world| {
        let job = world.job_mut(id).ok_or_else(|| Refusal::no_job(id))?;
        if job.user != user {
            return Err(Refusal::new(403, "Forbidden: userId is not the job's"));
        }
        if !matches!(job.state, JobState::Complete | JobState::Failed) {
            return Err(Refusal::new(409, "The job is not finished"));
        }
        if job.feedback.is_some() {
            return Err(Refusal::new(409, "Feedback was given before"));
        }
        job.feedback = Some((body.rating, body.comment));
        Ok(Json(json!({ "success": true })))
    })
}
