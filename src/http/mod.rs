//! Floor 4: HTTP. What callers, browsers, Omni and probes see.

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;

use crate::config::Callers;
use crate::omni::WebhookVerifier;
use crate::pipeline::{Intake, Receiver};
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
    /// Wakes readers.
    pub wake: Wake,
    /// Who may call.
    pub callers: Arc<Callers>,
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
    Router::new().with_state(services)
}

/// `/metrics`.
pub fn admin(services: Services) -> Router {
    Router::new().with_state(services)
}
