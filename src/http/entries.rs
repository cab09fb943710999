//! `GET /v1/conversations/{key}/entries`: a page of a conversation's history, oldest first.
//!
//! `position` leads on wherever the page ends: to the next page, or to `/events?from=` for what comes later.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use serde_json::value::RawValue;
use url::form_urlencoded;

use super::position::EntryId;
use super::problem::Problem;
use super::reader::{PARAMETER, Reader};
use super::{Services, events, history};
use crate::model::prompt::FieldError;

/// Entries on a page, unless told otherwise, and at most.
const USUAL: usize = 50;
const MOST: usize = 100;

/// A page.
#[derive(Serialize)]
pub(super) struct Page {
    /// As CloudEvents.
    items: Vec<Box<RawValue>>,
    /// The id of the last one in the stream; without any, where the page starts.
    position: String,
    /// What to ask for with `after`; `null` on the last page.
    next: Option<String>,
    /// Something between these two may be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
}

#[derive(Serialize)]
struct Gap {
    from: String,
    to: String,
}

/// Shows a page of a conversation of the caller's tenant, or of that of a token.
pub(super) async fn list(
    reader: Reader,
    State(services): State<Services>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page>, Problem> {
    let (after, limit) = parse(query.as_deref().unwrap_or_default())?;
    let conversation = reader.find(&services, &name).await?;
    let piece = history::read(&services.store, &conversation, after, limit).await?;
    let full = piece.entries.len() == limit;
    let more = full && !services.store.entries(&conversation, &piece.end.to_string(), 1).await?.is_empty();
    let gap = piece.entries.first().filter(|_| piece.gap);
    Ok(Json(Page {
        gap: gap.map(|first| Gap { from: after.to_string(), to: first.id.clone() }),
        position: piece.end.to_string(),
        next: more.then(|| piece.end.to_string()),
        items: piece.entries.into_iter().map(|entry| entry.event).collect(),
    }))
}

fn parse(query: &str) -> Result<(EntryId, usize), Problem> {
    let (mut after, mut limit) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = |detail: String| Problem::fields("invalid_parameter", vec![FieldError::at("", &name, detail)]);
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
            assert_eq!(parse(wrong).unwrap_err().code, "invalid_parameter", "{wrong}");
        }
        for wrong in ["after=", "after=$", "after=x", "after=-1"] {
            assert_eq!(parse(wrong).unwrap_err().code, "invalid_position", "{wrong}");
        }
    }
}
