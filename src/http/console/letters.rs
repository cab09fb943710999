//! `/console/dead-letters`: open letters by what they died of and one by one, and runs over those that fit.

use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use url::form_urlencoded;

use super::frame::{Frame, Page, Section};
use super::look::{When, number};
use super::session::Operator;
use crate::http::Services;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::wanted::{KNOWN, Wanted};
use crate::model::Reason;
use crate::model::letter::Letter;
use crate::model::prompt::FieldError;
use crate::model::run::Group;
use crate::store::delivery::Stream;
use crate::store::letters::Cursor;

/// Letters on a page, and groups.
const SHOWN: usize = 50;

#[derive(askama::Template)]
#[template(path = "letters.html")]
struct Letters {
    frame: Frame,
    now: Timestamp,
    fields: Vec<Field>,
    /// The filter as a query, without a place.
    query: String,
    total: u64,
    groups: Vec<(Group, String)>,
    more_groups: usize,
    items: Vec<Letter>,
    next: Option<String>,
}

/// One member of a filter, in the form.
struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
    choices: Vec<&'static str>,
}

pub(super) async fn list(
    operator: Operator,
    State(services): State<Services>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, Problem> {
    let given = given(query.as_deref().unwrap_or_default());
    let (filter, cursor) = read(&given)?;
    let filter = filter.of(&services, &operator.access).await??;
    let mut groups = services.runs.groups(&filter).await?;
    let total = groups.iter().map(|group| group.count).sum();
    let more_groups = groups.len().saturating_sub(SHOWN);
    groups.truncate(SHOWN);
    let page = services.store.letters(&filter, cursor, SHOWN).await?;
    let within = |name: &str, value: &str| encoded(&given, Some((name, value)));
    let linked = |group: Group| {
        let query = within("fingerprint", &group.fingerprint);
        (group, query)
    };
    let frame = Frame::of(&services, &operator, Section::Letters, "Dead letters");
    Ok(Page(Letters {
        frame,
        now: services.clock.now(),
        fields: fields(&given),
        query: encoded(&given, None),
        total,
        groups: groups.into_iter().map(linked).collect(),
        more_groups,
        items: page.items,
        next: page.next.map(|cursor| within("cursor", &cursor.to_string())),
    }))
}

/// What a form sends has empty members, which ask for nothing.
pub(super) fn given(query: &str) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let asked = pairs.filter(|(_, value)| !value.trim().is_empty());
    asked.map(|(name, value)| (name.into_owned(), value.trim().to_owned())).collect()
}

/// What is asked for, and where the page begins.
pub(super) fn read(given: &[(String, String)]) -> Result<(Wanted, Option<Cursor>), Problem> {
    let (mut wanted, mut cursor, mut errors) = (Wanted::default(), None, Vec::new());
    for (name, value) in given {
        let taken = match name.as_str() {
            "cursor" => {
                value.parse().map(|place| cursor = Some(place)).map_err(|()| "must be that of a page".to_owned())
            }
            name => wanted.take(name, value),
        };
        errors.extend(taken.err().map(|detail| FieldError::at("", name, detail)));
    }
    if errors.is_empty() { Ok((wanted, cursor)) } else { Err(Problem::fields(Code::InvalidParameter, errors)) }
}

/// The filter as a query, with one more member, or another one in its place.
fn encoded(given: &[(String, String)], more: Option<(&str, &str)>) -> String {
    let kept = given.iter().filter(|(name, _)| name != "cursor" && more.is_none_or(|(more, _)| more != name));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(kept).extend_pairs(more);
    query.finish()
}

fn fields(given: &[(String, String)]) -> Vec<Field> {
    let field = |name: &'static str| {
        let value = given.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone()).unwrap_or_default();
        let (label, hint) = match name {
            "stage" => ("Stage", ""),
            "reason" => ("Reason", ""),
            "tenant" => ("Tenant", ""),
            "since" => ("Died since", "2026-01-31T03:00:00Z"),
            "until" => ("Died before", "2026-01-31T04:00:00Z"),
            "text" => ("Text in the error", "timed out"),
            "promptId" => ("Prompt", ""),
            "jobId" => ("Job", ""),
            "conversation" => ("Conversation", ""),
            _ => ("Cause", "fingerprint"),
        };
        let choices = match name {
            "stage" => Stream::ALL.map(Stream::stage).to_vec(),
            "reason" => Reason::ALL.map(Reason::as_str).to_vec(),
            _ => Vec::new(),
        };
        Field { name, label, hint, value, choices }
    };
    KNOWN.into_iter().map(field).collect()
}
