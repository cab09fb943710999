//! `/v1/dead-letters/{id}`: one letter, shown whole, replayed, discarded.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Services;
use super::auth::{Access, Authorized, Ops};
use super::problem::Problem;
use crate::store::dead::Decided;
use crate::store::letters::WholeLetter;

#[derive(Serialize)]
struct Outcome {
    outcome: &'static str,
}

/// Shows an open letter: its original bytes, every attempt.
pub(super) async fn show(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<WholeLetter>, Problem> {
    let letter = services.store.letter(&id).await?;
    letter.filter(|letter| caller.access.sees_tenant(&letter.letter.owner())).map(Json).ok_or_else(not_found)
}

/// Puts a letter back to the stage it died in: 202, or 200 when that, or more, happened before.
pub(super) async fn replay(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    check(&services, &caller.access, &id).await?;
    answer(services.dead_letters.replay(&id, &caller.access.who()).await?)
}

/// Removes a letter; its prompt's readers are told `omni.failed`. 202, or 200 when that, or more, happened before.
pub(super) async fn discard(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    check(&services, &caller.access, &id).await?;
    answer(services.dead_letters.discard(&id, &caller.access.who()).await?)
}

/// Whether the caller may know of the letter.
async fn check(services: &Services, access: &Access, id: &str) -> Result<(), Problem> {
    match services.store.owner_of_letter(id).await? {
        Some(tenant) if access.sees_tenant(&tenant) => Ok(()),
        _ => Err(not_found()),
    }
}

fn answer(decided: Option<Decided>) -> Result<Response, Problem> {
    let decided = decided.ok_or_else(not_found)?;
    let status = if decided.is_new() { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(Outcome { outcome: decided.as_str() })).into_response())
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "dead_letter_not_found", "there is no such dead letter")
}
