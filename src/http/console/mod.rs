//! The console at `/console` on the admin listener: what the HTTP calls show and do, as pages for people.
//!
//! Pages are whole without JavaScript; with it, what is marked as live is fetched again every other second. Nothing comes
//! from another host. Who may look is in `session`, what all pages share in `frame`.

#![expect(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]

mod assets;
mod audit;
mod budget;
mod consumers;
mod conversation;
mod doctor;
mod frame;
mod letter;
mod letters;
mod look;
mod overview;
mod pauses;
mod plot;
mod runs;
mod search;
mod series;
mod session;
mod settings;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use tower_http::csrf::CsrfLayer;

use super::{Services, Tokens};
use crate::config::Origin;

pub use series::Series;

/// What the console has besides the services.
pub struct Console {
    /// Makes and reads sessions.
    pub tokens: Tokens,
    /// Settings in force: name, value without secrets, where it comes from.
    pub settings: Vec<(String, String, Origin)>,
    /// What was measured lately.
    pub series: Arc<Series>,
}

/// Every page.
pub(super) fn routes(services: &Services) -> Router<Services> {
    Router::new()
        .route("/console", get(overview::show))
        .route("/console/login", get(session::form).post(session::sign_in))
        .route("/console/logout", post(session::sign_out))
        .route("/console/search", get(search::find))
        .route("/console/prompts/{id}", get(search::prompt))
        .route("/console/prompts/{id}/cancel", post(search::cancel))
        .route("/console/conversations/{key}", get(conversation::show))
        .route("/console/dead-letters", get(letters::list))
        .route("/console/dead-letters/{id}", get(letter::show))
        .route("/console/dead-letters/{id}/replay", post(letter::replay))
        .route("/console/dead-letters/{id}/discard", post(letter::discard))
        .route("/console/runs", get(runs::list).post(runs::create))
        .route("/console/runs/{id}", get(runs::show))
        .route("/console/runs/{id}/stop", post(runs::stop))
        .route("/console/budget", get(budget::show))
        .route("/console/consumers", get(consumers::show))
        .route("/console/pauses", post(pauses::pause))
        .route("/console/pauses/end", post(pauses::resume))
        .route("/console/doctor", get(doctor::show).post(doctor::examine))
        .route("/console/audit", get(audit::show))
        .route("/console/settings", get(settings::show))
        .route("/console/assets/{name}", get(assets::file))
        .route("/console/{*rest}", any(|| async { StatusCode::NOT_FOUND }))
        // What a page of another site sends is turned away, whatever cookies it comes with.
        .route_layer(CsrfLayer::new())
        .route_layer(from_fn_with_state(services.clone(), frame::dress))
}
