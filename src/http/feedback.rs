//! `POST /v1/prompts/{id}/feedback`: what a user thinks of an answer, passed on to Omni.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};

use super::auth::{self, Authorized, Prompts};
use super::code::Code;
use super::contract::openapi::CHAT;
use super::contract::params::PromptName;
use super::contract::problems;
use super::problem::{self, Problem};
use super::{Services, body, prompt};
use crate::model::feedback::{Feedback, FeedbackSchema};
use crate::pipeline::NotRated;

problems!(
    Problems: auth::PROBLEMS, body::PROBLEMS, problem::ANY, problem::OF_OMNI, prompt::NAMED,
    [Code::MalformedJson, Code::InvalidFeedback, Code::NotFinished, Code::NoJob, Code::FeedbackRefused]
);

/// Largest body: a comment of the longest kind, escaped throughout.
const LARGEST: usize = 64 * 1024;

/// Rates a prompt that has ended: 204 once Omni has it.
#[utoipa::path(
    post, path = "/v1/prompts/{id}/feedback", tag = CHAT, operation_id = "ratePrompt", security(("key" = ["prompts"])),
    params(PromptName), request_body(content = FeedbackSchema, description = "At most 64 KiB"),
    responses((status = 204, description = "Omni has it"), Problems),
)]
pub(super) async fn rate(
    caller: Authorized<Prompts>,
    State(services): State<Services>,
    Path(id): Path<String>,
    headers: HeaderMap,
    payload: Body,
) -> Result<StatusCode, Problem> {
    let record = prompt::named(&services, &caller.access, &id).await?;
    let bytes = body::read(&headers, payload, LARGEST).await?;
    let feedback = Feedback::parse(&bytes).map_err(|invalid| Problem::invalid(Code::InvalidFeedback, invalid))?;
    if services.store.terminal_entry(&record.conversation, record.id).await?.is_none() {
        return Err(Problem::new(Code::NotFinished, "the prompt has not ended yet"));
    }
    services.rater.rate(&record, &feedback).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<NotRated> for Problem {
    fn from(error: NotRated) -> Self {
        match error {
            NotRated::NoJob => Self::new(Code::NoJob, "the prompt ended before Omni had a job of it"),
            NotRated::Refused => {
                Self::new(Code::FeedbackRefused, "Omni takes feedback once, on jobs that ended by themselves")
            }
            NotRated::Halt(halt) => halt.into(),
        }
    }
}
