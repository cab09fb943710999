//! `/v1/dead-letters/{id}`: one letter, shown whole, replayed, discarded.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::{self, Access, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::params::LetterName;
use super::contract::problems;
use super::problem::{self, Problem};
use super::{Services, body};
use crate::model::fields::Fields;
use crate::model::prompt::{FieldError, Invalid};
use crate::model::{Defaults, Edit};
use crate::pipeline::EditError;
use crate::store::dead::Decided;
use crate::store::letters::{LetterDocument, WholeLetter};

problems!(Problems: auth::PROBLEMS, problem::ANY, [Code::BadRequest, Code::DeadLetterNotFound]);

problems!(
    Edited: body::PROBLEMS,
    [Code::MalformedJson, Code::InvalidPrompt, Code::NotEditable, Code::DeadLetterNotFound, Code::BadRequest]
);

/// How to replay.
#[derive(ToSchema)]
#[schema(as = Replay)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is read as a schema")]
struct Replay {
    /// A JSON merge patch over the prompt: `prompt`, `modelId`, `topicName`, `branchId`, `deadlineSeconds`, `progress`,
    /// `metadata`; of one that was pushed and not accepted, over all of it but its `tenant`. One member at least
    #[schema(value_type = Option<Object>)]
    edit: Option<Value>,
}

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

/// Puts a letter back to the stage it died in: 202, or 200 when that, or more, happened before. With `edit` a prompt that
/// Omni was never asked is changed first, and so is one that was pushed and not accepted.
#[utoipa::path(
    post, path = "/v1/dead-letters/{id}/replay", tag = OPERATOR, operation_id = "replayDeadLetter",
    security(("key" = ["ops"])), params(LetterName),
    request_body(content = Option<Replay>, description = "May be left out"),
    responses(
        (status = 202, description = "Replayed", body = Outcome),
        (status = 200, description = "Nothing changed", body = Outcome),
        Problems, Edited,
    ),
)]
pub(super) async fn replay(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
    headers: HeaderMap,
    payload: Body,
) -> Result<Response, Problem> {
    check(&services, &caller.access, &id).await?;
    let (letters, who) = (&services.dead_letters, caller.access.who());
    let decided = match edit(&body::read(&headers, payload, body::LARGEST).await?)? {
        None => letters.replay(&id, &who).await?,
        Some(edit) => {
            let (models, topics) = caller.access.limits(&services.own.callers);
            let defaults = Defaults { models, topics, ..Defaults::default() };
            letters.replay_edited(&id, &edit, defaults, &who).await?
        }
    };
    answer(decided)
}

fn edit(bytes: &[u8]) -> Result<Option<Edit>, Problem> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let object = match serde_json::from_slice(bytes).map_err(|_| Problem::malformed())? {
        Value::Null => return Ok(None),
        Value::Object(object) => object,
        _ => {
            let error = FieldError::whole("must be an object");
            return Err(Problem::fields(Code::InvalidPrompt, vec![error]));
        }
    };
    let mut fields = Fields::new("", object);
    let edit = fields.take("edit").map(Edit::new).transpose().map_err(invalid)?;
    let errors = fields.finish(&["edit"]);
    if errors.is_empty() { Ok(edit) } else { Err(Problem::fields(Code::InvalidPrompt, errors)) }
}

/// What is wrong with an edit, as its place in the body.
fn invalid(mut invalid: Invalid) -> Problem {
    if let Invalid::Fields(errors) = &mut invalid {
        for error in errors {
            error.pointer.insert_str(0, "/edit");
        }
    }
    Problem::invalid(Code::InvalidPrompt, invalid)
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NotEditable => {
                Self::new(Code::NotEditable, "there is nothing of the letter that can be changed")
            }
            EditError::Invalid(error) => invalid(error),
            EditError::Store(error) => error.into(),
        }
    }
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

pub(super) fn not_found() -> Problem {
    Problem::new(Code::DeadLetterNotFound, "there is no such dead letter")
}
