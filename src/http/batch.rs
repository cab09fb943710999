//! `POST /v1/prompts:batch`: up to a hundred prompts, in order, each answered for itself.
//!
//! Safe to repeat as far as its items have idempotency keys: one for the whole would say nothing about a batch that was
//! taken in part.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body as Payload;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::auth::{self, Access, Authorized, Prompts};
use super::code::Code;
use super::contract::openapi::CHAT;
use super::contract::problems;
use super::middleware::{self, RequestId};
use super::problem::{self, Document, Problem};
use super::prompt::PromptObject;
use super::{Services, body, prompts};
use crate::model::prompt::{Body, FieldError};
use crate::model::prompt_schema::PromptSchema;
use crate::pipeline::IntakeError;

/// Most prompts of a batch.
const MOST: usize = 100;
const ROUTE: &str = "/v1/prompts:batch";

problems!(
    Problems: auth::PROBLEMS, body::PROBLEMS, problem::ANY,
    [Code::MalformedJson, Code::InvalidBatch, Code::InvalidParameter]
);

/// Prompts, each of which is read by itself.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is read as a schema")]
struct Batch {
    #[schema(min_items = 1, max_items = 100)]
    prompts: Vec<PromptSchema>,
}

/// One answer for each prompt, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchAnswers)]
pub(super) struct Answers {
    items: Vec<Item>,
}

/// What the prompt alone would have been answered.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchAnswer)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prompt: Option<PromptObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<Document>,
    /// Seconds; the `Retry-After` of a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

/// Accepts prompts one after the other.
///
/// Each is answered for itself, and one that is wrong keeps no other from being taken. Where Redis is away before one
/// was accepted, the whole is answered 503.
#[utoipa::path(
    post, path = ROUTE, tag = CHAT, operation_id = "createPrompts", security(("key" = ["prompts"])),
    params(("traceparent" = Option<String>, Header, nullable = false, description = "W3C trace context")),
    request_body(content = Batch, description = "At most 4 MiB. Idempotency keys stand in the items: with the header \
        `Idempotency-Key` the whole is refused"),
    responses((status = 200, description = "An answer for each", body = Answers), Problems),
)]
pub(super) async fn create(
    caller: Authorized<Prompts>,
    State(services): State<Services>,
    Extension(RequestId(id)): Extension<RequestId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    payload: Payload,
) -> Result<Json<Answers>, Problem> {
    alone(query.as_deref(), &headers)?;
    let bytes = body::read(&headers, payload, body::LARGEST_BATCH).await?;
    let mut answers: Vec<Result<(StatusCode, PromptObject), Problem>> = Vec::new();
    for item in items(&bytes)? {
        // Each try would take as long as the first, and end no better.
        let away = answers.last().and_then(|last| last.as_ref().err()).filter(|last| is_away(last));
        let answer = match away {
            Some(away) => Err(away.clone()),
            None => accept(&services, &caller.access, item, &headers).await,
        };
        answers.push(answer);
    }
    if let Some(Err(away)) = answers.last()
        && is_away(away)
        && answers.iter().all(Result::is_err)
    {
        return Err(away.clone());
    }
    Ok(Json(Answers { items: answers.into_iter().map(|answer| Item::of(answer, id)).collect() }))
}

async fn accept(
    services: &Services,
    access: &Access,
    item: &RawValue,
    headers: &HeaderMap,
) -> Result<(StatusCode, PromptObject), Problem> {
    let body = Body::parse(item.get().as_bytes(), prompts::defaults(services, access)).map_err(IntakeError::from)?;
    prompts::accept(services, access, body, prompts::trace(headers), Duration::ZERO).await
}

fn is_away(problem: &Problem) -> bool {
    problem.status == StatusCode::SERVICE_UNAVAILABLE
}

/// What is meant for one prompt says nothing about many.
fn alone(query: Option<&str>, headers: &HeaderMap) -> Result<(), Problem> {
    if let Some((name, _)) = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).next() {
        let error = FieldError::at("", &name, "is not a known parameter; there are none");
        return Err(Problem::fields(Code::InvalidParameter, vec![error]));
    }
    if headers.contains_key(prompts::IDEMPOTENCY_KEY) {
        return Err(wrong(FieldError::at("", "prompts", "must have an idempotencyKey each, instead of the header")));
    }
    Ok(())
}

/// The prompts as they came; each is read by itself.
fn items(bytes: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    let whole: &RawValue = serde_json::from_slice(bytes).map_err(|_| Problem::malformed())?;
    let no_object = |_| wrong(FieldError::whole("must be an object"));
    let mut members: HashMap<String, &RawValue> = serde_json::from_str(whole.get()).map_err(no_object)?;
    let prompts = members.remove("prompts");
    if let Some(name) = members.keys().min() {
        return Err(wrong(FieldError::at("", name, "is not a known field; known is prompts")));
    }
    let prompts = prompts.and_then(|prompts| serde_json::from_str::<Vec<&RawValue>>(prompts.get()).ok());
    let prompts = prompts.filter(|prompts| (1..=MOST).contains(&prompts.len()));
    prompts.ok_or_else(|| wrong(FieldError::at("", "prompts", format!("must be an array of 1 to {MOST} prompts"))))
}

fn wrong(error: FieldError) -> Problem {
    Problem::fields(Code::InvalidBatch, vec![error])
}

impl Item {
    fn of(answer: Result<(StatusCode, PromptObject), Problem>, id: uuid::Uuid) -> Self {
        match answer {
            Ok((status, object)) => {
                Self { status: status.as_u16(), prompt: Some(object), problem: None, retry_after: None }
            }
            Err(problem) => {
                if problem.status.is_server_error() {
                    middleware::log(&problem, id, &Method::POST, ROUTE);
                }
                let (status, retry_after) = (problem.status.as_u16(), problem.retry_after());
                Self { status, prompt: None, problem: Some(problem.document(id)), retry_after }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> u16 {
        items(body.as_bytes()).unwrap_err().status.as_u16()
    }

    #[test]
    fn the_whole_is_an_object_with_prompts_and_nothing_else() {
        assert_eq!(
            items(br#" {"prompts": [ {"a": 1}, 7 ]} "#).unwrap().iter().map(|item| item.get()).collect::<Vec<_>>(),
            [r#"{"a": 1}"#, "7"]
        );
        let many = |count: usize| format!("{{\"prompts\":[{}]}}", vec!["0"; count].join(","));
        assert_eq!(items(many(MOST).as_bytes()).unwrap().len(), MOST);
        assert_eq!(refused(&many(MOST + 1)), 422);
        for wrong in ["[]", "{}", "7", r#"{"prompts":[]}"#, r#"{"prompts":{}}"#, r#"{"prompts":[1],"wait":1}"#] {
            assert_eq!(refused(wrong), 422, "{wrong}");
        }
        for malformed in ["", "{", r#"{"prompts":[1,]}"#, "{} x"] {
            assert_eq!(refused(malformed), 400, "{malformed}");
        }
    }
}
