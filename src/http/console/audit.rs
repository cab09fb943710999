//! `/console/audit`: who changed what.

use axum::extract::{Query, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Frame, Page, Section};
use super::look::When;
use super::session::Operator;
use crate::http::Services;
use crate::http::problem::Problem;
use crate::store::audit::{Audited, Place};

const SHOWN: usize = 100;

#[derive(askama::Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    now: Timestamp,
    changes: Vec<Audited>,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Where the page begins.
    cursor: Option<String>,
}

pub(super) async fn show(
    operator: Operator,
    State(services): State<Services>,
    Query(Asked { cursor }): Query<Asked>,
) -> Result<impl IntoResponse, Problem> {
    operator.access.of_everybody()?;
    let cursor = cursor.and_then(|cursor| cursor.parse::<Place>().ok());
    let (changes, next) = services.store.audit(cursor, SHOWN).await?;
    let next = next.map(|place| place.to_string());
    let frame = Frame::of(&services, &operator, Section::Audit, "Audit");
    Ok(Page(Audit { frame, now: services.clock.now(), changes, next }))
}
