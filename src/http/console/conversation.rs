//! `/console/conversations/{key}`: what a conversation's readers see, as it comes.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde_json::Value;

use super::frame::{Frame, Page, Section};
use super::look::When;
use super::session::Operator;
use crate::http::problem::Problem;
use crate::http::{Services, reader};
use crate::model::EntryType;
use crate::store::conversation::Stored;

/// Entries that are shown, the newest.
const SHOWN: usize = 200;

#[derive(askama::Template)]
#[template(path = "conversation.html")]
struct Shown {
    frame: Frame,
    here: String,
    stream: String,
    entries: Vec<Line>,
    cut: bool,
}

/// One entry.
struct Line {
    id: String,
    kind: String,
    when: Option<When>,
    prompt: String,
    /// What it says to people.
    text: String,
    /// The whole of it.
    json: String,
}

pub(super) async fn show(
    operator: Operator,
    State(services): State<Services>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let found = reader::find(&services, &operator.access, &name).await?.ok_or_else(reader::not_found)?;
    let now = services.clock.now();
    let entries = services.store.newest(&found, SHOWN + 1).await?;
    let cut = entries.len() > SHOWN;
    let entries = entries.iter().rev().take(SHOWN).map(|entry| line(entry, now)).collect();
    let frame = Frame::of(&services, &operator, Section::Search, found.to_string());
    let stream = services.store.keys().conversation(&found);
    let here = format!("/console/conversations/{}", operator.access.segment(&found));
    Ok(Page(Shown { frame, here, stream, entries, cut }))
}

fn line(entry: &Stored, now: Timestamp) -> Line {
    let event: Value = serde_json::from_str(entry.event.get()).unwrap_or_default();
    let data = &event["data"];
    let text = ["/message", "/error/message", "/progress/message", "/reason"]
        .iter()
        .find_map(|pointer| data.pointer(pointer)?.as_str());
    Line {
        id: entry.id.clone(),
        kind: entry.kind.clone(),
        when: event["time"].as_str().and_then(|at| at.parse().ok()).map(|at| When::new(&at, &now)),
        prompt: data["promptId"].as_str().unwrap_or_default().to_owned(),
        text: text.unwrap_or_default().to_owned(),
        json: serde_json::to_string_pretty(&event).unwrap_or_default(),
    }
}

/// As the style names an entry's type.
fn tone(kind: &str) -> &'static str {
    match EntryType::parse(kind) {
        Some(EntryType::Answer) => "good",
        Some(EntryType::Delayed) => "fair",
        Some(EntryType::Failed | EntryType::Expired) => "bad",
        _ => "",
    }
}
