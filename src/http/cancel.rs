//! `POST /v1/prompts/{id}/cancel`: the answer is not wanted any more.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::auth::{self, Authorized, Prompts};
use super::contract::openapi::CHAT;
use super::contract::params::PromptName;
use super::contract::problems;
use super::problem::{self, Problem};
use super::prompt::PromptObject;
use super::{Services, prompt};

problems!(Problems: auth::PROBLEMS, problem::ANY, prompt::NAMED);

/// Cancels a prompt at any phase: 200 with its object once it has ended, 202 while its end is under way.
#[utoipa::path(
    post, path = "/v1/prompts/{id}/cancel", tag = CHAT, operation_id = "cancelPrompt", security(("key" = ["prompts"])),
    params(PromptName),
    responses(
        (status = 200, description = "It has ended, however it ended", body = PromptObject),
        (status = 202, description = "Its end is under way", body = PromptObject),
        Problems,
    ),
)]
pub(super) async fn cancel(
    caller: Authorized<Prompts>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let record = prompt::named(&services, &caller.access, &id).await?;
    services.canceller.cancel(&record, &caller.access.who()).await?;
    let record = prompt::visible(&services, &caller.access, record.id).await?;
    let object = prompt::object(&services.store, &caller.access, record).await?;
    let status = if object.ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(object)).into_response())
}
