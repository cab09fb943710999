//! Probes and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::Own;
use super::contract::openapi::OPERATOR;
use crate::runtime::readiness::Report;

/// The process answers.
#[utoipa::path(
    get, path = "/livez", tag = OPERATOR, operation_id = "livez", responses((status = 200, description = "It does"))
)]
pub(super) async fn livez() -> StatusCode {
    StatusCode::OK
}

/// Whether traffic should come, and if not, why.
#[utoipa::path(
    get, path = "/readyz", tag = OPERATOR, operation_id = "readyz",
    responses(
        (status = 200, description = "It should", body = Report),
        (status = 503, description = "It should not", body = Report),
    ),
)]
pub(super) async fn readyz(State(own): State<Arc<Own>>) -> impl IntoResponse {
    let report = own.readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

/// Prometheus' text format, on `http.admin_listen`.
#[utoipa::path(
    get, path = "/metrics", tag = OPERATOR, operation_id = "metrics",
    responses((status = 200, description = "The metrics", content_type = "text/plain; version=0.0.4", body = String)),
)]
pub(super) async fn metrics(State(own): State<Arc<Own>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], own.metrics.render())
}
