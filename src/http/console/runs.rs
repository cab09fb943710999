//! `/console/runs`: many dead letters decided on at once, as they go on.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::frame::{Frame, Page, Section};
use super::letters;
use super::look::{When, number};
use super::session::{Changer, Operator};
use crate::http::problem::Problem;
use crate::http::{Services, runs};
use crate::model::letter::LetterFilter;
use crate::model::run::{Action, Order, Run, RunState, WholeRun};

/// Runs that are listed, the newest.
const SHOWN: usize = 100;

#[derive(askama::Template)]
#[template(path = "runs.html")]
struct Listed {
    frame: Frame,
    now: Timestamp,
    runs: Vec<Run>,
}

pub(super) async fn list(operator: Operator, State(services): State<Services>) -> Result<impl IntoResponse, Problem> {
    let of = operator.access.letters_of(None).unwrap_or_default();
    let runs = services.store.runs(of.as_ref(), None, SHOWN).await?.items;
    let frame = Frame::of(&services, &operator, Section::Runs, "Runs");
    Ok(Page(Listed { frame, now: services.clock.now(), runs }))
}

/// What the form under the list of letters, and that under a run, ask for.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// The filter, as a query.
    #[serde(default)]
    query: String,
    action: Action,
    rate: u32,
    /// Empty: it is done. Whoever leaves it out has not said so.
    dry: String,
}

pub(super) async fn create(
    Changer(operator): Changer,
    State(services): State<Services>,
    Form(Asked { query, action, rate, dry }): Form<Asked>,
) -> Result<Redirect, Problem> {
    let (wanted, _) = letters::read(&letters::given(&query))?;
    let filter = wanted.of(&services, &operator.access).await??;
    let order = Order { action, filter, rate, dry_run: !dry.is_empty() };
    let run = services.runs.create(order, &operator.who()).await?;
    Ok(Redirect::to(&format!("/console/runs/{}", run.id)))
}

#[derive(askama::Template)]
#[template(path = "run.html")]
struct Shown {
    frame: Frame,
    now: Timestamp,
    whole: WholeRun,
    /// The filter as a query, for another run.
    query: String,
    /// The filter, for people.
    filter: Vec<(String, String)>,
}

pub(super) async fn show(
    operator: Operator,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let whole = runs::visible(&services, &operator.access, &id).await?;
    let frame = Frame::of(&services, &operator, Section::Runs, format!("Run {id}"));
    let filter = members(&whole.run.order.filter);
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&filter).finish();
    Ok(Page(Shown { frame, now: services.clock.now(), whole, query, filter }))
}

pub(super) async fn stop(
    Changer(operator): Changer,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Redirect, Problem> {
    runs::visible(&services, &operator.access, &id).await?;
    services.runs.stop(&id, &operator.who()).await?;
    Ok(Redirect::to(&format!("/console/runs/{id}")))
}

fn members(filter: &LetterFilter) -> Vec<(String, String)> {
    let Ok(Value::Object(members)) = serde_json::to_value(filter) else { return Vec::new() };
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    members.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn tone(state: &RunState) -> &'static str {
    match state {
        RunState::Running => "",
        RunState::Done => "good",
        RunState::Stopped => "fair",
        RunState::Failed => "bad",
    }
}

/// What a sample is called, and what it died of.
fn sample(sample: &Value) -> (&str, &str) {
    let text = |name: &str| sample[name].as_str().unwrap_or_default();
    (text("id"), text("error"))
}
