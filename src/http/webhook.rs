//! `POST /webhooks/omni`: the receiver. It never sheds, and answers 200 only once Redis holds the webhook.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use super::Services;
use super::problem::Problem;
use crate::omni::Verified;
use crate::runtime::metrics::WEBHOOKS;

/// Longest time in which a webhook arrives and is stored.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Takes a webhook whose signature was proved by its type.
pub(super) async fn receive(State(services): State<Services>, verified: Verified) -> Result<StatusCode, Problem> {
    let (outcome, answer) = match services.receiver.receive(&verified).await {
        Ok(outcome) => (outcome.as_str(), Ok(StatusCode::OK)),
        Err(error) => ("unavailable", Err(Problem::unavailable(&error))),
    };
    metrics::counter!(WEBHOOKS, "outcome" => outcome).increment(1);
    answer
}
