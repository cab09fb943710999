//! `GET /api/v1/ai/jobs/{jobId}/result`: JSON, labelled as octets, as live tenants send it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::super::answers;
use super::super::core::Core;
use super::super::job::JobState;
use super::super::wire::{Refusal, uuid};

pub(super) async fn result(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = uuid("jobId", &id)?;
    let mut world = core.world();
    let job = world.job_mut(id).filter(|job| job.state == JobState::Complete).ok_or_else(|| Refusal::no_job(id))?;
    if let Some(left) = job.behaviour.result.missing.checked_sub(1) {
        job.behaviour.result.missing = left;
        return Err(Refusal::new(404, "Result is not available"));
    }
    let body = answers::result(job).to_string();
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response())
}
