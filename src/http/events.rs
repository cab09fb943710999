//! `GET /v1/conversations/{key}/events`: a conversation as server-sent events.
//!
//! `event` is the entry's type, `id` its id in the stream, `data` the entry as JSON. A reader goes on after the id it saw
//! last: `EventSource` does so by itself, in `Last-Event-ID`, which goes before `?from=`. `event: gap` comes first when
//! the id is older than everything that is kept: what stood between may be lost.

use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use url::form_urlencoded;
use uuid::Uuid;

use super::Services;
use super::auth::{Access, Authorized, Read};
use super::position::{EntryId, Start};
use super::problem::Problem;
use super::tail::Tail;
use crate::model::Conversation;

const LAST_EVENT_ID: &str = "last-event-id";
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Pause after which a comment shows that the connection lives.
const ALIVE: Duration = Duration::from_secs(15);

/// Streams a conversation of the caller's tenant.
pub(super) async fn events(
    caller: Authorized<Read>,
    State(services): State<Services>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let start = start(&headers, query.as_deref())?;
    let conversation = find(&services, &caller.access, &name).await?;
    let tail = Tail::open(services, conversation, start).await?;
    let events = Sse::new(tail.events()).keep_alive(KeepAlive::new().interval(ALIVE));
    Ok(([(ACCEL_BUFFERING, "no")], events))
}

fn start(headers: &HeaderMap, query: Option<&str>) -> Result<Start, Problem> {
    if let Some(seen) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) {
        let id = seen.to_str().ok().and_then(|id| id.parse().ok());
        return id.map(Start::After).ok_or_else(invalid_position);
    }
    let mut from = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(name, _)| name == "from");
    match (from.next(), from.next()) {
        (None, _) => Ok(Start::After(EntryId::ZERO)),
        (Some((_, from)), None) => from.parse().map_err(|_| invalid_position()),
        _ => Err(invalid_position()),
    }
}

pub(super) fn invalid_position() -> Problem {
    let detail = "the position must be an entry's id or 0; for a stream of events also $, for new entries only";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_position", detail)
}

/// The conversation by the caller's name for it, or by Omni's once that is known.
pub(super) async fn find(services: &Services, access: &Access, name: &str) -> Result<Conversation, Problem> {
    let store = &services.store;
    if let Some(named) = access.conversation(name)
        && (store.knows(&named.tenant(), &named).await? || store.bounds(&named).await?.is_some())
    {
        return Ok(named);
    }
    let omnis = match Uuid::try_parse(name) {
        Ok(id) => store.conversation_of(id).await?,
        Err(_) => None,
    };
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "conversation_not_found", "there is no such conversation");
    omnis.filter(|found| access.sees(found)).ok_or_else(unknown)
}
