//! What every request passes before its handler: the log, the key, the budget, the faults.

use std::future::pending;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::core::Core;
use super::fault::{self, FaultKind};
use super::socket::Plug;
use super::view;
use super::wire::Refusal;

/// Marks an answer that must not be seen: the connection is closed instead.
#[derive(Clone)]
pub(super) struct Unanswered;

pub(super) async fn pass(
    State(core): State<Arc<Core>>,
    ConnectInfo(plug): ConnectInfo<Plug>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().map(str::to_owned);
    let index = core.change(|world| {
        world.requests.push(view::Request { method: method.clone(), path: path.clone(), query, status: None });
        world.requests.len() - 1
    });
    let response = as_json(answer(&core, &method, &path, request, next).await);
    let dropped = response.extensions().get::<Unanswered>().is_some();
    if dropped {
        plug.pull();
    } else {
        core.change(|world| world.requests[index].status = Some(response.status().as_u16()));
    }
    if core.options.log {
        if dropped {
            log(format_args!("{method} {path} dropped"));
        } else {
            log(format_args!("{method} {path} {}", response.status().as_u16()));
        }
    }
    response
}

/// Refusals that axum wrote by itself, in the API's form.
fn as_json(response: Response) -> Response {
    let plain = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if plain && response.status().is_client_error() {
        let reason = response.status().canonical_reason().unwrap_or("Bad Request");
        return Refusal::new(response.status().as_u16(), reason).into_response();
    }
    response
}

/// A line on stdout; a reader that went away is no reason to stop.
pub(super) fn log(line: std::fmt::Arguments<'_>) {
    writeln!(std::io::stdout(), "{line}").ok();
}

async fn answer(core: &Core, method: &str, path: &str, request: Request, next: Next) -> Response {
    if !core.options.latency.end().is_zero() {
        let latency = core.change(|world| world.draw(&core.options.latency));
        tokio::time::sleep(latency).await;
    }
    if let Err(refusal) = admit(core, request.headers()) {
        return refusal.into_response();
    }
    let fault = core.change(|world| fault::take(&mut world.faults, method, path));
    match fault {
        None => next.run(request).await,
        Some(FaultKind::Status(status, retry_after)) => {
            let mut refusal = Refusal::new(status, "Simulated fault");
            refusal.retry_after = retry_after.map(u64::from);
            refusal.into_response()
        }
        Some(FaultKind::Hang) => {
            core.stop.run_until_cancelled(pending::<()>()).await;
            unanswered()
        }
        Some(FaultKind::DropBeforeReply(processed)) => {
            if processed {
                next.run(request).await;
            }
            unanswered()
        }
    }
}

pub(super) fn unanswered() -> Response {
    let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Unanswered);
    response
}

fn admit(core: &Core, headers: &HeaderMap) -> Result<(), Refusal> {
    let key = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let accepted = &core.options.api_keys;
    let known = |key: &&str| !key.is_empty() && (accepted.is_empty() || accepted.iter().any(|one| one == key));
    let Some(key) = key.filter(known) else {
        return Err(Refusal::new(401, "Unauthorized: Missing or invalid API key"));
    };
    core.world().budget.take(key, Instant::now()).map_err(|wait| {
        let mut refusal = Refusal::new(429, "Too Many Requests: rate limit exceeded");
        refusal.retry_after = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        refusal
    })
}
