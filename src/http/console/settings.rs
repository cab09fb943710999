//! `/console/settings`: what is in force here, without secrets.

use axum::extract::State;
use axum::response::IntoResponse;

use super::frame::{Frame, Page, Section};
use super::session::Operator;
use crate::config::Origin;
use crate::http::Services;

#[derive(askama::Template)]
#[template(path = "settings.html")]
struct Settings {
    frame: Frame,
    /// Setting, value, origin.
    rows: Vec<(String, String, Origin)>,
}

pub(super) async fn show(operator: Operator, State(services): State<Services>) -> impl IntoResponse {
    let frame = Frame::of(&services, &operator, Section::Settings, "Settings");
    let rows = services.console.as_ref().map(|console| console.settings.clone()).unwrap_or_default();
    Page(Settings { frame, rows })
}
