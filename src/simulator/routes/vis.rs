//! `GET /api/v1/ai/jobs/{jobId}/vis`: the same picture of every answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::core::Core;
use super::super::job::JobState;
use super::super::wire::{Refusal, uuid};

/// Five bars.
const CHART: &[u8] = include_bytes!("../answers/chart.png");

pub(super) async fn vis(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = uuid("jobId", &id)?;
    let world = core.world();
    let job = world.job(id).filter(|job| job.state == JobState::Complete).ok_or_else(|| Refusal::no_job(id))?;
    if job.behaviour.result.no_chart {
        // As the API's document has it, and nowhere else.
        let body = Json(json!({ "error": "No visualization action in the job result" }));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, body).into_response());
    }
    Ok(([(CONTENT_TYPE, "image/png")], CHART).into_response())
}
