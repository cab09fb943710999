//! Which path leads where.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::super::core::Core;
use super::super::gate;
use super::super::wire::Refusal;
use super::{cancel, conversations, create, feedback, result, sessions, status, users, vis};

/// Omni takes about 15 MB.
const BODY_LIMIT: usize = 15 << 20;

pub(in super::super) fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/api/v1/ai/jobs", post(create::create))
        .route("/api/v1/ai/jobs/{id}", get(status::status))
        .route("/api/v1/ai/jobs/{id}/result", get(result::result))
        .route("/api/v1/ai/jobs/{id}/vis", get(vis::vis))
        .route("/api/v1/ai/jobs/{id}/cancel", post(cancel::cancel))
        .route("/api/v1/ai/jobs/{id}/feedback", post(feedback::feedback))
        .route("/api/v1/ai/conversations", get(conversations::list))
        .route("/api/v1/ai/conversations/{id}", get(conversations::detail))
        .route("/api/scim/v2/embed/Users", get(users::list))
        .route("/api/scim/v2/embed/Users/{id}", get(users::show).delete(users::delete))
        .route("/api/v1/embed/sso/generate-session", post(sessions::v1))
        .route("/api/unstable/embed/sso/generate-session", post(sessions::unstable))
        .fallback(|| async { Refusal::new(404, "Not Found") })
        .method_not_allowed_fallback(|| async { Refusal::new(405, "Method Not Allowed") })
        .layer(from_fn_with_state(Arc::clone(&core), gate::pass))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(core)
}
