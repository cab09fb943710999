//! `GET /v1/prompts/{id}/chart.png`: an answer as Omni draws it, fetched when somebody asks for it first.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;

use super::auth::{self, Authorized, Read};
use super::code::Code;
use super::contract::openapi::CHAT;
use super::contract::params::PromptName;
use super::contract::problems;
use super::problem::{self, Problem};
use super::{Services, prompt};
use crate::model::EntryType;

problems!(Problems: auth::PROBLEMS, problem::ANY, problem::OF_OMNI, prompt::NAMED, [Code::ChartNotFound]);

/// Shows the chart of an answered prompt of the caller's tenant.
#[utoipa::path(
    get, path = "/v1/prompts/{id}/chart.png", tag = CHAT, operation_id = "getChart", security(("key" = ["read"])),
    params(PromptName),
    responses(
        (status = 200, description = "As Omni draws it", body = Vec<u8>, content_type = "image/png"),
        Problems,
    ),
)]
pub(super) async fn show(
    caller: Authorized<Read>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let record = prompt::named(&services, &caller.access, &id).await?;
    let Some(charts) = &services.charts else { return Err(missing("charts are off: results.charts is false")) };
    match services.store.terminal_entry(&record.conversation, record.id).await? {
        None => return Err(missing("there is no answer yet")),
        Some((EntryType::Answer, _)) => {}
        Some(_) => return Err(missing("the prompt ended without an answer")),
    }
    let image = charts.chart(&record).await?.ok_or_else(|| missing("Omni has nothing to draw for this answer"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/png")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, image))
}

fn missing(detail: &'static str) -> Problem {
    Problem::new(Code::ChartNotFound, detail)
}
