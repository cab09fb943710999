//! `/v1/dead-letters/{id}`: one letter, shown whole, replayed, discarded.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Services;
use super::auth::{self, Access, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::params::LetterName;
use super::contract::problems;
use super::problem::{self, Problem};
use crate::store::dead::Decided;
use crate::store::letters::{LetterDocument, WholeLetter};

problems!(Problems: auth::PROBLEMS, problem::ANY, [Code::BadRequest, Code::DeadLetterNotFound]);

/// What became of a decision.
#[derive(Serialize, ToSchema)]
#[schema(as = Decision)]
struct Outcome {
    #[schema(value_type = Decided)]
    outcome: &'static str,
}

/// Shows an open letter: its original bytes, every attempt.
#[utoipa::path(
    get, path = "/v1/dead-letters/{id}", tag = OPERATOR, operation_id = "getDeadLetter", security(("key" = ["ops"])),
    params(LetterName),
    responses((status = 200, description = "The letter", body = LetterDocument), Problems),
)]
pub(super) async fn show(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<WholeLetter>, Problem> {
    let letter = services.dead_letters.show(&id).await?;
    letter.filter(|letter| caller.access.sees_tenant(&letter.letter.owner())).map(Json).ok_or_else(not_found)
}

/// Puts a letter back to the stage it died in: 202, or 200 when that, or more, happened before.
#[utoipa::path(
    post, path = "/v1/dead-letters/{id}/replay", tag = OPERATOR, operation_id = "replayDeadLetter",
    security(("key" = ["ops"])), params(LetterName),
    responses(
        (status = 202, description = "Replayed", body = Outcome),
        (status = 200, description = "Nothing changed", body = Outcome),
        Problems,
    ),
)]
pub(super) async fn replay(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    check(&services, &caller.access, &id).await?;
    answer(services.dead_letters.replay(&id, &caller.access.who()).await?)
}

/// Removes a letter; its prompt's readers are told `omni.failed`. 202, or 200 when that, or more, happened before.
#[utoipa::path(
    delete, path = "/v1/dead-letters/{id}", tag = OPERATOR, operation_id = "discardDeadLetter",
    security(("key" = ["ops"])), params(LetterName),
    responses(
        (status = 202, description = "Discarded", body = Outcome),
        (status = 200, description = "Nothing changed", body = Outcome),
        Problems,
    ),
)]
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
    Problem::new(Code::DeadLetterNotFound, "there is no such dead letter")
}
