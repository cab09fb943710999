//! `GET /api/v1/ai/jobs/{jobId}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::answers;
use super::super::behaviour::Outcome;
use super::super::clock::millis;
use super::super::conversation::Conversation;
use super::super::core::Core;
use super::super::job::{Job, JobState};
use super::super::wire::{Refusal, uuid};

pub(super) async fn status(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let id = uuid("jobId", &id)?;
    let world = core.world();
    let job = world.job(id).ok_or_else(|| Refusal::no_job(id))?;
    Ok(Json(write(job, &core)))
}

fn write(job: &Job, core: &Core) -> Value {
    let mut status = json!({
        "id": job.id,
        "state": job.state,
        "conversationId": job.conversation,
        "createdAt": millis(job.created),
        "updatedAt": millis(job.updated),
        "modelId": job.model,
        "branchId": job.branch,
        "topicName": job.topic,
        "omniChatUrl": Conversation::chat_url(job.conversation),
        "organizationId": core.organization,
        "prompt": job.prompt,
        "userId": job.user.unwrap_or(core.owner),
    });
    if let Some(started) = job.started {
        status["executionStartedAt"] = millis(started).into();
    }
    let finished = millis(job.finished.unwrap_or(job.updated));
    match job.state {
        JobState::Executing => {
            let iteration = job.pace.iteration(Instant::now());
            status["progress"] = answers::progress(&job.question, iteration, job.updated);
        }
        JobState::Complete => {
            status["completedAt"] = finished.into();
            status["resultSummary"] = answers::answer(job).markdown.into();
        }
        JobState::Failed => {
            status["completedAt"] = finished.into();
            status["error"] = error(&job.behaviour.outcome);
        }
        JobState::Cancelled => {
            status["cancelledAt"] = finished.into();
            status["cancelledBy"] = core.owner.to_string().into();
        }
        JobState::Queued | JobState::Delivering => {}
    }
    status
}

fn error(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Failed { code, message } => json!({ "code": code, "message": message, "detail": message }),
        Outcome::Denied { reason } => json!({ "message": reason }),
        Outcome::Complete | Outcome::Cancelled => json!({ "message": "The job failed" }),
    }
}
