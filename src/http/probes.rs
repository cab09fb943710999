//! Probes and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::Services;

/// The process answers.
pub(super) async fn livez() -> StatusCode {
    StatusCode::OK
}

/// Whether traffic should come, and if not, why.
pub(super) async fn readyz(State(services): State<Services>) -> impl IntoResponse {
    let report = services.readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

/// Prometheus' text format.
pub(super) async fn metrics(State(services): State<Services>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], services.metrics.render())
}
