//! `/console`: how things stand, on one page.

use axum::extract::State;
use axum::response::IntoResponse;
use jiff::Timestamp;

use super::frame::{Frame, Page, Section};
use super::look::{When, number, span};
use super::plot::Plot;
use super::series::STEP;
use super::session::Operator;
use crate::http::Services;
use crate::runtime::readiness::{Report, State as PartState};
use crate::store::pauses::{Pausable, Paused};
use crate::store::tally::Tally;

#[derive(askama::Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    report: Report,
    plots: [Plot; 3],
    now: Timestamp,
    pauses: Vec<Paused>,
    dead: u64,
}

pub(super) async fn show(operator: Operator, State(services): State<Services>) -> impl IntoResponse {
    let frame = Frame::of(&services, &operator, Section::Overview, "Overview");
    let mut looks = services.console.as_ref().map(|console| console.series.looks()).unwrap_or_default();
    // What is shown as now is from now, where Redis answers.
    looks.extend(services.store.tally().await.ok());
    let mut pauses = services.pauses.list().await.unwrap_or_default();
    // What holds a tenant back concerns who sees it.
    pauses.retain(|pause| operator.access.of_everybody().is_ok() || matches!(pause.what, Pausable::Stage(_)));
    let (report, now) = (services.own.readiness.report(), services.clock.now());
    let dead = looks.last().map_or(0, |look| look.dead);
    Page(Overview { frame, report, plots: plots(&looks), now, pauses, dead })
}

fn plots(looks: &[Tally]) -> [Plot; 3] {
    let spans = span(&(STEP * u32::try_from(looks.len()).unwrap_or(u32::MAX)));
    let of = |title, value: fn(&Tally) -> u64| {
        let values: Vec<f64> = looks.iter().map(|look| pixels(value(look))).collect();
        Plot::new(title, &values, &spans)
    };
    let ends: Vec<f64> = looks
        .windows(2)
        .map(|pair| pixels(pair[1].answered.saturating_sub(pair[0].answered)) * 60.0 / STEP.as_secs_f64())
        .collect();
    [
        Plot::new("answers a minute", &ends[..ends.len().saturating_sub(1)], &spans),
        of("prompts on their way", |look| look.waiting),
        of("open dead letters", |look| look.dead),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "it becomes pixels")]
const fn pixels(number: u64) -> f64 {
    number as f64
}

/// As the style names a state.
fn tone(state: &PartState) -> &'static str {
    match state {
        PartState::Ready => "good",
        PartState::Degraded => "fair",
        PartState::NotReady => "bad",
    }
}

fn word(state: &PartState) -> &'static str {
    match state {
        PartState::Ready => "ready",
        PartState::Degraded => "degraded",
        PartState::NotReady => "not ready",
    }
}

/// What the form needs to have it go on: the field, and what it holds.
fn held(pause: &Paused) -> (&'static str, String) {
    match &pause.what {
        Pausable::Stage(stage) => ("stage", stage.stage().to_owned()),
        Pausable::Tenant(tenant) => ("tenant", tenant.as_str().to_owned()),
    }
}
