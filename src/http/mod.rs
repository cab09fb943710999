//! Floor 4: HTTP. What callers, browsers, Omni and probes see.
//!
//! One file per resource: `webhook`, `prompts`, `batch`, `prompt`, `result`, `chart`, `cancel`, `feedback`, `events`,
//! `entries`, `conversation_token`, `mcp_token`, `mcp`, `dead_letters`, `dead_letter`, `probes`. Who may call stands in
//! `auth`, how failures look in `problem`, what happens around every request in `middleware`.

mod attempts;
mod auth;
mod batch;
mod body;
mod cancel;
mod chart;
mod conversation_token;
mod cors;
mod dead_letter;
mod dead_letters;
mod entries;
mod events;
mod feed;
mod feedback;
mod frame;
mod history;
mod mcp;
mod mcp_token;
mod middleware;
mod position;
mod probes;
mod problem;
mod prompt;
mod prompts;
mod reader;
mod result;
mod tail;
mod token;
mod wait;
mod webhook;

pub use attempts::Attempts;
pub use feed::Feeds;
pub use prompt::for_operator as prompt_for_operator;
pub use token::Tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use tower_http::timeout::TimeoutLayer;

use crate::config::Callers;
use crate::omni::WebhookVerifier;
use crate::pipeline::{Canceller, Charts, DeadLetters, Gateway, Intake, Rater, Receiver};
use crate::runtime::{Clock, Metrics, Readiness, Stop};
use crate::store::Store;
use crate::store::wake::Wake;

/// What the handlers work with.
#[derive(Clone)]
pub struct Services {
    /// The store.
    pub store: Store,
    /// Accepts prompts.
    pub intake: Intake,
    /// Stores webhooks.
    pub receiver: Receiver,
    /// Cancels prompts.
    pub canceller: Canceller,
    /// Fetches charts; `None` where they are off.
    pub charts: Option<Charts>,
    /// Passes feedback on.
    pub rater: Rater,
    /// Replays and discards.
    pub dead_letters: DeadLetters,
    /// Passes agents' requests on.
    pub gateway: Gateway,
    /// Wakes those who wait.
    pub wake: Wake,
    /// What is new, for readers.
    pub feeds: Arc<Feeds>,
    /// Who may call.
    pub callers: Arc<Callers>,
    /// Makes and reads tokens; `None` without secrets.
    pub tokens: Option<Arc<Tokens>>,
    /// Origins whose pages may call.
    pub cors_origins: Arc<[String]>,
    /// Wrong keys, by address.
    pub attempts: Arc<Attempts>,
    /// Proves webhooks.
    pub verifier: Arc<WebhookVerifier>,
    /// Whether everything stands.
    pub readiness: Readiness,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
    /// Ends long answers when the process stops.
    pub stop: Stop,
}

impl FromRef<Services> for Arc<WebhookVerifier> {
    fn from_ref(services: &Services) -> Self {
        services.verifier.clone()
    }
}

/// Webhooks, `/v1`, probes.
pub fn public(services: Services) -> Router {
    let late = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, webhook::TIMEOUT);
    let router = Router::new()
        .route("/webhooks/omni", post(webhook::receive).layer(late))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/mcp", any(mcp::pass).layer(cors::of_agents(&services.cors_origins)))
        .merge(v1().layer(cors::layer(&services.cors_origins)));
    middleware::framed(router).with_state(services)
}

fn v1() -> Router<Services> {
    Router::new()
        .route("/v1/prompts", post(prompts::create))
        .route("/v1/prompts:batch", post(batch::create))
        .route("/v1/prompts/{id}", get(prompt::show))
        .route("/v1/prompts/{id}/result", get(result::show))
        .route("/v1/prompts/{id}/chart.png", get(chart::show))
        .route("/v1/prompts/{id}/cancel", post(cancel::cancel))
        .route("/v1/prompts/{id}/feedback", post(feedback::rate))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{id}", get(dead_letter::show).delete(dead_letter::discard))
        .route("/v1/dead-letters/{id}/replay", post(dead_letter::replay))
        .route("/v1/conversations/{key}/events", get(events::events))
        .route("/v1/conversations/{key}/entries", get(entries::list))
        .route("/v1/conversations/{key}/token", post(conversation_token::create))
        .route("/v1/users/{id}/mcp-token", post(mcp_token::create))
}

/// `/metrics`.
pub fn admin(services: Services) -> Router {
    middleware::framed(Router::new().route("/metrics", get(probes::metrics))).with_state(services)
}
