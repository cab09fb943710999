//! `POST /v1/prompts/{id}/cancel`: the answer is not wanted any more.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::auth::{Authorized, Prompts};
use super::problem::Problem;
use super::{Services, prompt};

/// Cancels a prompt at any phase: 200 with its object once it has ended, 202 while its end is under way.
pub(super) async fn cancel(
    caller: Authorized<Prompts>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = id.parse().map_err(|_| prompt::not_found())?;
    let record = prompt::visible(&services, &caller.access, id).await?;
    services.canceller.cancel(&record, &caller.access.who()).await?;
    let record = prompt::visible(&services, &caller.access, id).await?;
    let object = prompt::object(&services.store, &caller.access, record).await?;
    let status = if object.ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(object)).into_response())
}
