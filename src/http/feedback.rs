//! `POST /v1/prompts/{id}/feedback`: what a user thinks of an answer, passed on to Omni.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};

use super::auth::{Authorized, Prompts};
use super::problem::Problem;
use super::{Services, body, prompt};
use crate::model::{Feedback, Invalid};
use crate::pipeline::NotRated;

/// Largest body: a comment of the longest kind, escaped throughout.
const LARGEST: usize = 64 * 1024;

/// Rates a prompt that has ended: 204 once Omni has it.
pub(super) async fn rate(
    caller: Authorized<Prompts>,
    State(services): State<Services>,
    Path(id): Path<String>,
    headers: HeaderMap,
    payload: Body,
) -> Result<StatusCode, Problem> {
    let id = id.parse().map_err(|_| prompt::not_found())?;
    let record = prompt::visible(&services, &caller.access, id).await?;
    let bytes = body::read(&headers, payload, LARGEST).await?;
    let feedback = Feedback::parse(&bytes).map_err(|invalid| match invalid {
        Invalid::Syntax => Problem::malformed(),
        Invalid::TooLarge => Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE),
        Invalid::Fields(errors) => Problem::fields("invalid_feedback", errors),
    })?;
    if services.store.terminal_entry(&record.conversation, id).await?.is_none() {
        return Err(conflict("not_finished", "the prompt has not ended yet"));
    }
    services.rater.rate(&record, &feedback).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn conflict(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, detail)
}

impl From<NotRated> for Problem {
    fn from(error: NotRated) -> Self {
        match error {
            NotRated::NoJob => conflict("no_job", "the prompt ended before Omni had a job of it"),
            NotRated::Refused => {
                conflict("feedback_refused", "Omni takes feedback once, on jobs that ended by themselves")
            }
            NotRated::Halt(halt) => halt.into(),
        }
    }
}
