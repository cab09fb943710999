//! `/console/budget`: what is left of Omni's limit, key by key.

use axum::extract::State;
use axum::response::IntoResponse;

use super::frame::{Frame, Page, Section};
use super::look::span;
use super::session::Operator;
use crate::http::Services;
use crate::http::problem::Problem;
use crate::store::budget::{Closed, Room};

#[derive(askama::Template)]
#[template(path = "budget.html")]
struct Budget {
    frame: Frame,
    limit: u32,
    keys: Vec<Key>,
}

/// One key, by its place in the configuration: neither it nor anything made of it is shown.
struct Key {
    spent: u32,
    tone: &'static str,
    text: String,
}

pub(super) async fn show(operator: Operator, State(services): State<Services>) -> Result<impl IntoResponse, Problem> {
    let frame = Frame::of(&services, &operator, Section::Budget, "Budget");
    let limit = services.keys.limit();
    let keys = services.keys.uses().await?.into_iter().map(|(room, spent)| key(room, spent)).collect();
    Ok(Page(Budget { frame, limit, keys }))
}

fn key(room: Room, spent: u32) -> Key {
    let (tone, text) = match room {
        Room::For(_) => ("good", "there is room to start a job".to_owned()),
        Room::NotBefore(pause) => ("fair", format!("no room to start a job for {}", span(&pause))),
        Room::Closed(pause, Closed::Throttled) => {
            ("fair", format!("Omni turned it away for too many requests: closed for {}", span(&pause)))
        }
        Room::Closed(pause, Closed::Refused) => ("bad", format!("Omni refuses it: tried again in {}", span(&pause))),
    };
    Key { spent, tone, text }
}
