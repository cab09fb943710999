//! Around every request: its id, its log line, problems instead of bare statuses.

use std::any::Any;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{Instrument, debug, error, info_span, warn};
use uuid::Uuid;

use super::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Gives the request an id, and its answer the same one. Logs what was asked for as a route, never its query or headers.
pub(super) async fn frame(request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let span = info_span!("http.request", request.id = %id);
    let answer = next.run(request).instrument(span).await;
    let (mut answer, problem) = with_problem(answer, id);
    let status = answer.status().as_u16();
    match &problem {
        Some(problem) if problem.status == StatusCode::INTERNAL_SERVER_ERROR => {
            error!(request.id = %id, %method, route, status, code = problem.code, cause = problem.cause, "request failed");
        }
        Some(problem) if problem.status.is_server_error() => {
            warn!(request.id = %id, %method, route, status, code = problem.code, cause = problem.cause, "request failed");
        }
        other => {
            let code = other.as_ref().map(|problem| problem.code);
            debug!(request.id = %id, %method, route, status, code, "request answered");
        }
    }
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    answer
}

/// A handler's panic is the relay's fault, and says nothing to the caller.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal("the handler panicked").into_response()
}

/// Writes the problem down under the request's id. A failure that is none yet, and has no JSON of its own, becomes one.
fn with_problem(mut answer: Response, id: Uuid) -> (Response, Option<Problem>) {
    let status = answer.status();
    let failed = status.is_client_error() || status.is_server_error();
    let own = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let bare = || (failed && !own).then(|| Problem::of_status(status));
    let Some(problem) = answer.extensions_mut().remove::<Problem>().or_else(bare) else { return (answer, None) };
    *answer.body_mut() = problem.body(id);
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, PROBLEM);
    (answer, Some(problem))
}
