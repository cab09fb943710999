//! `GET /docs`: the OpenAPI document as a page, by Swagger UI. All of it comes from here; it asks no other host.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::http::Services;

/// Swagger UI has styles in its markup, and icons as data.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::new(["../openapi.json"]).validator_url("none")));

/// The page and what belongs to it.
pub(in crate::http) fn routes() -> Router<Services> {
    Router::new()
        // What belongs to the page is named relative to it.
        .route("/docs", get(|| async { Redirect::permanent("docs/") }))
        .route("/docs/", get(|| async { file("index.html") }))
        .route("/docs/{file}", get(|Path(name): Path<String>| async move { file(&name) }))
}

fn file(name: &str) -> Response {
    let Ok(Some(file)) = utoipa_swagger_ui::serve(name, CONFIG.clone()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let encoding = file.gzpipped.then_some([(header::CONTENT_ENCODING, "gzip")]);
    (HEADERS, encoding, [(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response()
}
