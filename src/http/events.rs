//! `GET /v1/conversations/{key}/events`: a conversation as server-sent events.
//!
//! `event` is the entry's type, `id` its id in the stream, `data` the entry as JSON. A reader goes on after the id it saw
//! last: `EventSource` does so by itself, in `Last-Event-ID`, which goes before `?from=`. `event: gap` comes first when
//! the id is older than everything that is kept: what stood between may be lost. With `?until=<promptId>` the stream ends
//! after that prompt's terminal entry; one who has seen it gets 204, at which `EventSource` stops coming back.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::code::Code;
use super::contract::openapi::READER;
use super::contract::params::ConversationName;
use super::contract::problems;
use super::position::{EntryId, Start};
use super::problem::{self, Problem};
use super::reader::{self, PARAMETER, Reader};
use super::tail::{Tail, Until};
use super::{Services, auth, history, parameters, prompt, token};
use crate::model::{Conversation, PromptId};

const LAST_EVENT_ID: &str = "last-event-id";
/// No proxy is to hold back what is streamed.
pub(super) const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a reader asks for.
#[derive(Debug, PartialEq)]
struct Wanted {
    start: Start,
    until: Option<PromptId>,
}

problems!(
    Problems: auth::PROBLEMS, problem::ANY, reader::PROBLEMS,
    [Code::InvalidPosition, Code::InvalidParameter, Code::PromptNotFound]
);

/// Streams a conversation of the caller's tenant, or that of a token.
///
/// `event` is an entry's type, `id` its id in the stream, `data` the entry as JSON; see `/asyncapi.json`. A comment comes
/// every 15 seconds. The stream starts at the beginning of what is kept, unless it is told where.
#[utoipa::path(
    get, path = "/v1/conversations/{key}/events", tag = READER, operation_id = "streamEvents",
    security(("key" = ["read"]), ("token" = []), ("tokenParameter" = [])),
    params(
        ConversationName,
        ("from" = Option<String>, Query, nullable = false, pattern = "^([0-9]{1,19}(-[0-9]{1,19})?|\\$)$",
            description = "The id after which to start, or `$` for what is new"),
        ("until" = Option<Uuid>, Query, nullable = false, description = "The prompt with whose end the stream ends"),
        ("Last-Event-ID" = Option<String>, Header, nullable = false, pattern = "^([0-9]{1,19}(-[0-9]{1,19})?)?$",
            description = "The id after which to start; goes before `from`"),
    ),
    responses(
        (status = 200, description = "Server-sent events", content(("text/event-stream"))),
        (status = 204, description = "The end of `until` has been seen"),
        Problems,
    ),
)]
pub(super) async fn events(
    reader: Reader,
    State(services): State<Services>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Wanted { start, until } = wanted(&headers, query.as_deref().unwrap_or_default())?;
    let conversation = reader.find(&services, &name).await?;
    let until = match until {
        Some(prompt) => Some(until_of(&services, &conversation, prompt).await?),
        None => None,
    };
    if let Some(Until { entry: Some(last), .. }) = &until
        && start.is_behind(*last)
    {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let expires = reader.expires.map(|at| token::end_of(at, &services.clock));
    let standing = reader.standing(&services, &conversation);
    let tail = Tail::open(&services, conversation, start, until, expires, standing).await?;
    let kind = (header::CONTENT_TYPE, "text/event-stream");
    Ok(([kind, (ACCEL_BUFFERING, "no")], Body::from_stream(tail.frames())).into_response())
}

async fn until_of(services: &Services, conversation: &Conversation, prompt: PromptId) -> Result<Until, Problem> {
    let record = services.store.record(prompt).await?;
    record.filter(|record| record.conversation == *conversation).ok_or_else(prompt::not_found)?;
    let entry = services.store.terminal_entry(conversation, prompt).await?;
    let entry = entry.map(|(_, entry)| entry.parse()).transpose().map_err(history::unreadable)?;
    Ok(Until { prompt, entry })
}

fn wanted(headers: &HeaderMap, query: &str) -> Result<Wanted, Problem> {
    let (mut from, mut until) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = |detail: &str| parameters::wrong(&name, detail);
        match &*name {
            "from" if from.is_some() => return Err(wrong("must be given once")),
            "from" => from = Some(value.parse().map_err(|_| invalid_position())?),
            "until" if until.is_some() => return Err(wrong("must be given once")),
            "until" => until = Some(value.parse().map_err(|_| wrong("must be a prompt's id"))?),
            PARAMETER => {}
            _ => return Err(wrong("is not a known parameter; known are from, until, token")),
        }
    }
    let seen = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty());
    let seen =
        seen.map(|seen| seen.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(invalid_position)).transpose()?;
    let start = seen.map(Start::After).or(from).unwrap_or(Start::After(EntryId::ZERO));
    Ok(Wanted { start, until })
}

pub(super) fn invalid_position() -> Problem {
    let detail = "the position must be an entry's id or 0; for a stream of events also $, for new entries only";
    Problem::new(Code::InvalidPosition, detail)
}
