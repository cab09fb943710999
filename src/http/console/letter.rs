//! `/console/dead-letters/{id}`: one letter whole, and what to do with it.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use jiff::Timestamp;

use super::frame::{Frame, Page, Section};
use super::look::When;
use super::session::{Changer, Operator};
use crate::http::Services;
use crate::http::dead_letter::not_found;
use crate::http::problem::Problem;
use crate::model::letter::Letter;
use crate::store::dead::Decided;

#[derive(askama::Template)]
#[template(path = "letter.html")]
struct Whole {
    frame: Frame,
    now: Timestamp,
    letter: Letter,
    original: String,
    attempts: Vec<(Timestamp, String)>,
    trace_id: Option<String>,
}

pub(super) async fn show(
    operator: Operator,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let whole = services.dead_letters.show(&id).await?;
    let whole = whole.filter(|whole| operator.access.sees_tenant(&whole.letter.owner())).ok_or_else(not_found)?;
    let frame = Frame::of(&services, &operator, Section::Letters, format!("Dead letter {id}"));
    let at = |at: u64| i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    let attempts = whole.history.iter().filter_map(|attempt| Some((at(attempt.at)?, attempt.error.clone())));
    Ok(Page(Whole {
        frame,
        now: services.clock.now(),
        attempts: attempts.collect(),
        original: String::from_utf8_lossy(&whole.original).into_owned(),
        trace_id: whole.trace_id.clone(),
        letter: whole.letter,
    }))
}

#[derive(askama::Template)]
#[template(path = "decided.html")]
struct Outcome {
    frame: Frame,
    tone: &'static str,
    text: &'static str,
    prompt: Option<String>,
}

pub(super) async fn replay(
    Changer(operator): Changer,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let decided = services.dead_letters.replay(&id, &operator.who()).await?;
    outcome(&services, &operator, &id, decided)
}

pub(super) async fn discard(
    Changer(operator): Changer,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let decided = services.dead_letters.discard(&id, &operator.who()).await?;
    outcome(&services, &operator, &id, decided)
}

fn outcome(
    services: &Services,
    operator: &Operator,
    id: &str,
    decided: Option<Decided>,
) -> Result<impl IntoResponse + use<>, Problem> {
    let (tone, text) = match decided.ok_or_else(not_found)? {
        Decided::Replayed => ("good", "It is under way again."),
        Decided::Discarded => ("good", "It is gone; the readers of its prompt are told that no answer will come."),
        Decided::AlreadyReplayed => ("fair", "Nothing changed: it was replayed before, and is under way."),
        Decided::AlreadyDiscarded => ("fair", "Nothing changed: it was discarded before."),
        Decided::AlreadySettled => ("fair", "Nothing changed: its prompt's end is known by now."),
    };
    let prompt = uuid::Uuid::try_parse(id).is_ok().then(|| id.to_owned());
    let frame = Frame::of(services, operator, Section::Letters, format!("Dead letter {id}"));
    Ok(Page(Outcome { frame, tone, text, prompt }))
}
