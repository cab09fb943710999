//! `/console/consumers`: who reads the stages' streams, and what they hold.

use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;

use super::frame::{Frame, Page, Section};
use super::look::span;
use super::session::Operator;
use crate::http::Services;
use crate::http::problem::Problem;
use crate::store::delivery::Stream;
use crate::store::state::StreamState;

#[derive(askama::Template)]
#[template(path = "consumers.html")]
struct Consumers {
    frame: Frame,
    stages: Vec<(&'static str, StreamState)>,
}

pub(super) async fn show(operator: Operator, State(services): State<Services>) -> Result<impl IntoResponse, Problem> {
    let mut stages = Vec::new();
    for stream in Stream::ALL {
        let state = services.store.stream_state(stream, Duration::ZERO).await?;
        stages.extend(state.map(|state| (stream.stage(), state)));
    }
    let frame = Frame::of(&services, &operator, Section::Consumers, "Consumers");
    Ok(Page(Consumers { frame, stages }))
}
