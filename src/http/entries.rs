//! `GET /v1/conversations/{key}/entries`: a page of a conversation's history, oldest first.
//!
//! `position` leads on wherever the page ends: to the next page, or to `/events?from=` for what comes later.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use serde_json::value::RawValue;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::code::Code;
use super::contract::openapi::READER;
use super::contract::params::ConversationName;
use super::contract::problems;
use super::feed::{FEW, fitting};
use super::history::Piece;
use super::position::EntryId;
use super::problem::{self, Problem};
use super::reader::{self, PARAMETER, Reader};
use super::{Services, auth, events, history, parameters};
use crate::model::entry_schema::AnyEvent;

/// Entries on a page, unless told otherwise, and at most.
const USUAL: usize = 50;
const MOST: usize = 100;

problems!(
    Problems: auth::PROBLEMS, problem::ANY, reader::PROBLEMS,
    [Code::InvalidPosition, Code::InvalidParameter]
);

/// A page, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Entries)]
pub(super) struct Page {
    /// As CloudEvents.
    #[schema(value_type = Vec<AnyEvent>)]
    items: Vec<Box<RawValue>>,
    /// The id of the last one in the stream; without any, where the page starts.
    position: String,
    /// What to ask for with `after`; `null` on the last page.
    #[schema(required)]
    next: Option<String>,
    /// Something between these two may be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    gap: Option<Gap>,
}

/// Something between these two may be lost.
#[derive(Serialize, ToSchema)]
pub(super) struct Gap {
    from: String,
    to: String,
}

/// Shows a page of a conversation of the caller's tenant, or of that of a token.
#[utoipa::path(
    get, path = "/v1/conversations/{key}/entries", tag = READER, operation_id = "listEntries",
    security(("key" = ["read"]), ("token" = []), ("tokenParameter" = [])),
    params(
        ConversationName,
        ("after" = Option<String>, Query, nullable = false, pattern = "^[0-9]{1,19}(-[0-9]{1,19})?$",
            description = "An entry's id in the stream; left out or `0`: the beginning of what is kept"),
        ("limit" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 100,
            description = "50 unless told otherwise; a page has fewer where entries are large"),
    ),
    responses((status = 200, description = "A page", body = Page), Problems),
)]
pub(super) async fn list(
    reader: Reader,
    State(services): State<Services>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page>, Problem> {
    let (after, limit) = parse(query.as_deref().unwrap_or_default())?;
    let conversation = reader.find(&services, &name).await?;
    let store = &services.store;
    let few = limit.min(FEW);
    let Piece { mut entries, end, gap } = history::read(store, &conversation, after, few).await?;
    let mut position = end.to_string();
    let mut full = entries.len() == few;
    // As many as are asked for, where they are small.
    let rest = fitting(entries.iter().map(|entry| entry.event.get().len())).min(limit).saturating_sub(few);
    if full && rest > 0 {
        let others = store.entries(&conversation, &position, rest).await?;
        full = others.len() == rest;
        entries.extend(others);
        position = entries.last().map_or(position, |last| last.id.clone());
    }
    let more = full && !store.entries(&conversation, &position, 1).await?.is_empty();
    let gap = entries.first().filter(|_| gap).map(|first| Gap { from: after.to_string(), to: first.id.clone() });
    let items = entries.into_iter().map(|entry| entry.event).collect();
    Ok(Json(Page { gap, next: more.then(|| position.clone()), position, items }))
}

fn parse(query: &str) -> Result<(EntryId, usize), Problem> {
    let (mut after, mut limit) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = |detail: String| parameters::wrong(&name, detail);
        match &*name {
            "after" if after.is_some() => return Err(wrong("must be given once".to_owned())),
            "after" => after = Some(value.parse().map_err(|_| events::invalid_position())?),
            "limit" => {
                let number = value.parse().ok().filter(|number| limit.is_none() && (1..=MOST).contains(number));
                let detail = || format!("must be given once, as a whole number from 1 to {MOST}");
                limit = Some(number.ok_or_else(|| wrong(detail()))?);
            }
            PARAMETER => {}
            _ => return Err(wrong("is not a known parameter; known are after, limit, token".to_owned())),
        }
    }
    Ok((after.unwrap_or(EntryId::ZERO), limit.unwrap_or(USUAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_starts_after_an_id_and_has_a_size() {
        assert_eq!(parse("").unwrap(), (EntryId::ZERO, USUAL));
        assert_eq!(parse("after=7-1&limit=100").unwrap(), ("7-1".parse().unwrap(), MOST));
        for wrong in ["limit=0", "limit=101", "limit=", "limit=1&limit=1", "after=1&after=1", "from=1"] {
            assert_eq!(parse(wrong).unwrap_err().code, Code::InvalidParameter, "{wrong}");
        }
        for wrong in ["after=", "after=$", "after=x", "after=-1"] {
            assert_eq!(parse(wrong).unwrap_err().code, Code::InvalidPosition, "{wrong}");
        }
    }
}
