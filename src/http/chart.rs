//! `GET /v1/prompts/{id}/chart.png`: an answer as Omni draws it, fetched when somebody asks for it first.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;

use super::auth::{Authorized, Read};
use super::problem::Problem;
use super::{Services, prompt};
use crate::model::EntryType;

/// Shows the chart of an answered prompt of the caller's tenant.
pub(super) async fn show(
    caller: Authorized<Read>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let id = id.parse().map_err(|_| prompt::not_found())?;
    let record = prompt::visible(&services, &caller.access, id).await?;
    let Some(charts) = &services.charts else { return Err(missing("charts are off: results.charts is false")) };
    match services.store.terminal_entry(&record.conversation, id).await? {
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
    Problem::new(StatusCode::NOT_FOUND, "chart_not_found", detail)
}
