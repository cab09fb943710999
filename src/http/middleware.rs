//! Around every request: its id, its log line, problems instead of bare statuses.

use std::any::Any;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::field::display;
use tracing::{Instrument, debug, debug_span, error, info_span, warn};
use uuid::{Builder, Uuid};

use super::body;
use super::problem::Problem;
use super::webhook;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The id of a request, for handlers that write problems down themselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestId(pub(super) Uuid);

/// Marks an answer that goes to its caller as it came, whatever its status: Omni's own, or a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsItCame;

/// The router with all of it.
pub(super) fn framed<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    // Together: each layer that a router is given costs every request a box of its own.
    router.layer((from_fn(frame), CatchPanicLayer::custom(panicked)))
}

/// Gives the request an id, and its answer the same one. Logs what was asked for as a route, never its query or headers.
async fn frame(mut request: Request, next: Next) -> Response {
    // Nobody has to be kept from guessing it.
    let id = Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
    request.extensions_mut().insert(RequestId(id));
    let (request, rest) = body::remembered(request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    // Of a webhook nothing is logged within, but at `debug`.
    let span = if route == webhook::PATH {
        debug_span!("http.request", request.id = %id)
    } else {
        info_span!("http.request", request.id = %id)
    };
    let answer = next.run(request).instrument(span).await;
    if let Some(rest) = rest {
        rest.read().await;
    }
    let (mut answer, problem) = with_problem(answer, id);
    let status = answer.status().as_u16();
    match &problem {
        Some(problem) if problem.status.is_server_error() => log(problem, id, &method, route),
        other => {
            let code = other.as_ref().map(|problem| display(problem.code));
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

/// The log's line about a failure that is not the caller's.
pub(super) fn log(problem: &Problem, id: Uuid, method: &Method, route: &str) {
    let (status, code, cause) = (problem.status.as_u16(), display(problem.code), &problem.cause);
    if problem.status == StatusCode::INTERNAL_SERVER_ERROR {
        error!(request.id = %id, %method, route, status, code, cause, "request failed");
    } else {
        warn!(request.id = %id, %method, route, status, code, cause, "request failed");
    }
}

/// A handler's panic is the relay's fault, and says nothing to the caller.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal("the handler panicked").into_response()
}

/// Writes the problem down under the request's id. A failure that is none yet, and has no body of its own, becomes one.
fn with_problem(mut answer: Response, id: Uuid) -> (Response, Option<Problem>) {
    let status = answer.status();
    let failed = status.is_client_error() || status.is_server_error();
    let json = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let as_it_came = answer.extensions().get::<AsItCame>().is_some();
    let bare = || (failed && !json && !as_it_came).then(|| Problem::of_status(status));
    let Some(problem) = answer.extensions_mut().remove::<Problem>().or_else(bare) else { return (answer, None) };
    if as_it_came {
        return (answer, Some(problem));
    }
    *answer.body_mut() = problem.body(id);
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, PROBLEM);
    (answer, Some(problem))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use axum::routing::get;
    use serde_json::Value;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::store::StoreError;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The status, the problem and the log of one request to `/{case}`.
    async fn request(case: &str) -> (u16, Value, String) {
        let log = Written::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let _quiet = tracing::subscriber::set_default(subscriber);
        let router = Router::new()
            .route("/panic", get(|| async { panic!("a secret") as StatusCode }))
            .route("/broken", get(|| async { Err::<(), _>(Problem::from(StoreError::Corrupt { what: "a secret" })) }))
            .route("/away", get(|| async { Err::<(), _>(Problem::from(StoreError::Unavailable(None))) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/{case}?query=1", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async { axum::serve(listener, framed(router)).await });
        let answer = reqwest::get(url).await.unwrap();
        let (status, id) = (answer.status().as_u16(), answer.headers()["x-request-id"].to_str().unwrap().to_owned());
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(log.lines().all(|line| line.contains(&id)), "{log}");
        (status, problem, log)
    }

    #[tokio::test]
    async fn a_failure_tells_its_caller_an_id_and_the_log_its_cause_once() {
        let cases = [
            ("panic", 500, "internal", "the handler panicked"),
            ("broken", 500, "internal", "a secret"),
            ("away", 503, "unavailable", "redis is unavailable"),
        ];
        for (case, expected, code, cause) in cases {
            let (status, problem, log) = request(case).await;
            assert_eq!((status, &problem["code"]), (expected, &Value::from(code)), "{case}");
            assert!(!problem.to_string().contains("secret") && !problem.to_string().contains("redis"), "{problem}");
            assert_eq!(log.lines().count(), 1, "{log}");
            assert!(log.contains(cause) && log.contains(&format!("/{case}")) && !log.contains("query"), "{log}");
        }
    }

    #[tokio::test]
    async fn what_is_the_caller_s_fault_is_not_worth_a_line() {
        let (status, problem, log) = request("elsewhere").await;
        assert_eq!((status, &problem["code"], log.as_str()), (404, &Value::from("not_found"), ""));
    }
}
