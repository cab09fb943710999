//! `POST /webhooks/omni`: the receiver. It never sheds, and answers 200 only once Redis holds the webhook.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;

use super::body;
use super::contract::openapi::OMNI;
use super::contract::problems;
use super::problem::{self, Document, Problem};
use crate::omni::{Verified, WebhookVerifier};
use crate::pipeline::Receiver;

/// The route.
pub(super) const PATH: &str = "/webhooks/omni";
/// Longest time in which a webhook arrives and is stored.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

problems!(Problems: body::PROBLEMS, problem::ANY);

/// What the receiver works with; cloned with every webhook.
#[derive(Clone)]
pub struct Webhooks {
    /// Stores webhooks.
    pub receiver: Arc<Receiver>,
    /// Proves them.
    pub verifier: Arc<WebhookVerifier>,
}

impl FromRef<Webhooks> for Arc<WebhookVerifier> {
    fn from_ref(webhooks: &Webhooks) -> Self {
        webhooks.verifier.clone()
    }
}

/// Takes a webhook whose signature was proved by its type.
#[utoipa::path(
    post, path = PATH, tag = OMNI, operation_id = "receiveWebhook",
    params(
        ("X-Omni-Signature-Timestamp" = String, Header, pattern = "^[0-9]+$",
            description = "Unix time, in seconds or (above 10¹¹) milliseconds"),
        ("X-Omni-Signature" = String, Header,
            description = "`sha256=` and HMAC-SHA256 of `<timestamp>.<body>` in hex, base64 or base64url"),
    ),
    request_body(content = Object, content_type = "application/json", description = "Omni's event, at most 1 MiB"),
    responses(
        (status = 200, description = "Redis holds it"),
        (status = 401, description = "`unauthorized`: anything is wrong with the signature",
            body = Document, content_type = "application/problem+json"),
        Problems,
    ),
)]
pub(super) async fn receive(State(webhooks): State<Webhooks>, verified: Verified) -> Result<StatusCode, Problem> {
    let (outcome, answer) = match webhooks.receiver.receive(&verified).await {
        Ok(outcome) => (outcome.as_str(), Ok(StatusCode::OK)),
        Err(error) => ("unavailable", Err(Problem::unavailable(&error))),
    };
    metrics::counter!("omni_relay_webhooks_total", "outcome" => outcome).increment(1);
    answer
}
