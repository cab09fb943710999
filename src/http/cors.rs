//! Pages of which other origins may call `/v1` and `/mcp`.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, CorsLayer};

/// How long a browser remembers what it was told.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Lets in the pages of these origins, with a key or a token, never with cookies: there are none.
pub(super) fn layer(origins: &[String]) -> CorsLayer {
    let name = HeaderName::from_static;
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            name("idempotency-key"),
            name("last-event-id"),
            name("traceparent"),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER, name("x-request-id")])
        .max_age(REMEMBERED)
}

/// The same for `/mcp`, whose protocol has more headers with each version.
pub(super) fn of_agents(origins: &[String]) -> CorsLayer {
    let exposed =
        [header::RETRY_AFTER, HeaderName::from_static("mcp-session-id"), HeaderName::from_static("x-request-id")];
    layer(origins).allow_headers(AllowHeaders::mirror_request()).expose_headers(exposed)
}
