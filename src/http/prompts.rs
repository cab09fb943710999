//! `POST /v1/prompts`: a prompt is accepted.

use std::time::Duration;

use axum::Json;
use axum::body::Body as Payload;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::auth::{self, Access, Authorized, Prompts};
use super::code::Code;
use super::contract::openapi::CHAT;
use super::contract::params::Wait;
use super::contract::problems;
use super::problem::{self, Problem};
use super::prompt::PromptObject;
use super::{Services, body, prompt, wait};
use crate::model::prompt::{Body, Defaults, FieldError, Invalid, MAX_IDEMPOTENCY_KEY};
use crate::model::prompt_schema::PromptSchema;
use crate::pipeline::IntakeError;
use crate::runtime::TraceContext;

pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
const TRACEPARENT: &str = "traceparent";

problems!(
    Problems: auth::PROBLEMS, body::PROBLEMS, problem::ANY, REFUSED,
    [Code::MalformedJson, Code::InvalidPrompt, Code::InvalidParameter]
);

/// Why the pipeline refuses a prompt that can be read.
const REFUSED: [Code; 5] = [
    Code::ConversationNotFound,
    Code::ConversationUserMismatch,
    Code::ConversationMismatch,
    Code::IdempotencyKeyReused,
    Code::Backlog,
];

/// Accepts a prompt: 202, or 200 when it has ended by the time of the answer.
#[utoipa::path(
    post, path = "/v1/prompts", tag = CHAT, operation_id = "createPrompt", security(("key" = ["prompts"])),
    params(
        Wait,
        ("Idempotency-Key" = Option<String>, Header, nullable = false, pattern = "^[!-~]{1,256}$",
            description = "The same key and body within 24 hours answer with the first prompt; must be `idempotencyKey`, \
                where both are given"),
        ("traceparent" = Option<String>, Header, nullable = false, description = "W3C trace context"),
    ),
    request_body(content = PromptSchema, description = "At most 15 MiB, and 256 KiB besides its attachments"),
    responses(
        (status = 202, description = "Accepted", body = PromptObject,
            headers(("Location" = String, description = "The prompt"))),
        (status = 200, description = "It has ended", body = PromptObject,
            headers(("Location" = String, description = "The prompt"))),
        Problems,
    ),
)]
pub(super) async fn create(
    caller: Authorized<Prompts>,
    State(services): State<Services>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    payload: Payload,
) -> Result<Response, Problem> {
    let wait = wait::parse(query.as_deref())?;
    let bytes = body::read(&headers, payload, body::LARGEST).await?;
    let parsed = Body::parse(&bytes, defaults(&services, &caller.access));
    drop(bytes);
    let body = with_key(parsed, idempotency_key(&headers)).map_err(IntakeError::from)?;
    let (status, object) = accept(&services, &caller.access, body, trace(&headers), wait).await?;
    let location = format!("/v1/prompts/{}", object.prompt_id);
    Ok((status, [(header::LOCATION, location)], Json(object)).into_response())
}

/// What a body of this caller may leave out, and what it may name.
pub(super) fn defaults<'a>(services: &'a Services, access: &Access) -> Defaults<'a> {
    let (models, topics) = access.limits(&services.own.callers);
    Defaults { models, topics, ..services.intake.defaults() }
}

/// Accepts one checked prompt: its object, with the status that it has as an answer. Its attachments are not held while it
/// is waited for.
pub(super) async fn accept(
    services: &Services,
    access: &Access,
    body: Body,
    trace: Option<TraceContext>,
    wait: Duration,
) -> Result<(StatusCode, PromptObject), Problem> {
    let accepted = services.intake.accept(&access.tenant, &body, trace, None).await?;
    drop(body);
    let Some(accepted) = accepted else { return Err(Problem::internal("an accepted prompt was lost")) };
    let fresh = accepted.fresh.map(|fresh| prompt::fresh(services, access, accepted.id, &fresh));
    let shown = async {
        let record = prompt::visible(services, access, accepted.id).await?;
        prompt::shown(services, access, record, wait).await
    };
    let object = match fresh {
        Some(fresh) if wait.is_zero() => fresh,
        fresh => match (shown.await, fresh) {
            (Ok(object), _) => object,
            // It is ours, whatever Redis does now: a caller that is told otherwise would ask again.
            (Err(_), Some(fresh)) => fresh,
            (Err(problem), None) => return Err(problem),
        },
    };
    Ok((if object.ended { StatusCode::OK } else { StatusCode::ACCEPTED }, object))
}

/// The header's key: `Ok(None)` without one, `Err` with what would be right.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, FieldError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let fits =
        |key: &&str| (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    match (value.to_str().ok().filter(fits), values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(wrong(format!(
            "as a header must be given once, as 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters"
        ))),
    }
}

/// The body with the header's key, which must be the body's own where it has one. What is wrong is told all at once.
fn with_key(body: Result<Body, Invalid>, key: Result<Option<String>, FieldError>) -> Result<Body, Invalid> {
    match (body, key) {
        (Err(Invalid::Fields(mut errors)), Err(error)) => {
            errors.push(error);
            Err(Invalid::Fields(errors))
        }
        (Err(invalid), _) => Err(invalid),
        (Ok(_), Err(error)) => Err(Invalid::Fields(vec![error])),
        (Ok(body), Ok(None)) => Ok(body),
        (Ok(body), Ok(Some(key))) if body.idempotency_key.as_ref().is_some_and(|own| *own != key) => {
            Err(Invalid::Fields(vec![wrong("must agree with the Idempotency-Key header".to_owned())]))
        }
        (Ok(body), Ok(key)) => Ok(Body { idempotency_key: key, ..body }),
    }
}

fn wrong(detail: String) -> FieldError {
    FieldError { pointer: "/idempotencyKey".to_owned(), detail }
}

/// The caller's trace.
pub(super) fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    headers.get(TRACEPARENT).and_then(|value: &HeaderValue| TraceContext::parse(value.to_str().ok()?))
}
