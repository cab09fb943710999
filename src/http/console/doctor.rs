//! `/console/doctor`: how everything is that the relay stands on.

use axum::extract::State;
use axum::response::IntoResponse;

use super::frame::{Frame, Page, Section};
use super::session::{Changer, Operator};
use crate::http::Services;
use crate::pipeline::doctor::{Check, Health};

#[derive(askama::Template)]
#[template(path = "doctor.html")]
struct Doctor {
    frame: Frame,
    /// `None` before anything was looked at.
    checks: Option<Vec<Check>>,
}

pub(super) async fn show(operator: Operator, State(services): State<Services>) -> impl IntoResponse {
    let frame = Frame::of(&services, &operator, Section::Doctor, "Doctor");
    Page(Doctor { frame, checks: None })
}

/// Looks: asks Omni, and sends an event to itself.
pub(super) async fn examine(Changer(operator): Changer, State(services): State<Services>) -> impl IntoResponse {
    let frame = Frame::of(&services, &operator, Section::Doctor, "Doctor");
    Page(Doctor { frame, checks: Some(services.doctor.examine().await) })
}

/// As the style and people call it.
fn tone(health: &Health) -> (&'static str, &'static str) {
    match health {
        Health::Ok => ("good", "well"),
        Health::Warn => ("fair", "look at this"),
        Health::Fail => ("bad", "does not work"),
    }
}
