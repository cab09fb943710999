//! `POST /api/v1/ai/jobs/{jobId}/cancel`: at once while queued, after the iteration while executing, later never.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use tokio::time::Instant;

use super::super::clock;
use super::super::core::Core;
use super::super::wire::{Cancelled, Refusal, uuid};

pub(super) async fn cancel(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<Json<Cancelled>, Refusal> {
    let id = uuid("jobId", &id)?;
    core.change(|world| {
        let now = Instant::now();
        world.step(id, now, clock::now());
        let job = world.job_mut(id).ok_or_else(|| Refusal::no_job(id))?;
        job.cancel(now, clock::now()).map(|state| Json(Cancelled { job_id: id, state })).map_err(
            |status| match status {
                409 => Refusal::new(409, "The job state was changed by another request"),
                _ => Refusal::bad_request("the job is delivering its result"),
            },
        )
    })
}
