//! `GET /openapi.json` and `GET /asyncapi.json`: written down once, when the process starts.

use axum::extract::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use utoipa::openapi::OpenApi;

use super::asyncapi;
use super::openapi::{self, OPERATOR};

/// Both documents.
#[derive(Clone)]
pub(in crate::http) struct Documents {
    openapi: Bytes,
    asyncapi: Bytes,
}

impl Documents {
    /// Of the calls in `calls`, and the streams of a namespace.
    pub(in crate::http) fn new(mut calls: OpenApi, namespace: &str) -> Self {
        openapi::complete(&mut calls);
        let openapi = calls.to_json().expect("what is described is JSON");
        Self { openapi: openapi.into(), asyncapi: asyncapi::document(namespace).to_string().into() }
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = OPERATOR, operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
pub(in crate::http) async fn openapi(Extension(documents): Extension<Documents>) -> impl IntoResponse {
    json(documents.openapi)
}

/// What readers of Redis and of the event streams see.
#[utoipa::path(
    get, path = "/asyncapi.json", tag = OPERATOR, operation_id = "asyncapi",
    responses((status = 200, description = "AsyncAPI 3.0", body = Object)),
)]
pub(in crate::http) async fn asyncapi(Extension(documents): Extension<Documents>) -> impl IntoResponse {
    json(documents.asyncapi)
}

fn json(document: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document)
}
