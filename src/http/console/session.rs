//! Who looks at the console: a caller that signed in with its key, or, where no callers are configured, whoever is on this
//! machine.
//!
//! A session is a signed token in a cookie: its caller is looked up with every request, so that one who left the
//! configuration, or lost the scope, is out at once.

use std::net::SocketAddr;
use std::time::Instant;

use axum::Form;
use axum::extract::{ConnectInfo, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use url::form_urlencoded;

use super::frame::{Frame, Page, Section};
use crate::config::{Caller, Scope};
use crate::http::Services;
use crate::http::auth::{self, Access};
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::token::{Purpose, Tokens};

const COOKIE: &str = "omni_relay_console";
/// Life of a session in seconds.
const LIFE: u64 = 8 * 3600;
const HOME: &str = "/console";

/// Somebody who may look.
pub(super) struct Operator {
    pub(super) access: Access,
    /// Whether they may also change something.
    pub(super) may_change: bool,
}

/// Somebody who may change something.
pub(super) struct Changer(pub(super) Operator);

impl Operator {
    /// Who it is, for the audit.
    pub(super) fn who(&self) -> String {
        self.access.caller().map_or_else(|| "console".to_owned(), |name| format!("console:{name}"))
    }

    /// A key that belongs to a tenant opens nothing here: what is shown is everybody's.
    fn of(caller: &Caller) -> Option<Self> {
        if caller.tenant.is_some() || !(caller.may(Scope::Ops) || caller.may(Scope::Read)) {
            return None;
        }
        Some(Self { access: Access::of_caller(caller), may_change: caller.may(Scope::Ops) })
    }

    fn of_cookie(services: &Services, tokens: &Tokens, headers: &HeaderMap) -> Option<Self> {
        let granted = tokens.read(Purpose::Console, cookie(headers)?).ok()?;
        Self::of(services.own.callers.named(&granted.subject)?)
    }
}

impl FromRequestParts<Services> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Response> {
        if services.own.callers.is_empty() {
            auth::from_here(&parts.headers, &[]).map_err(IntoResponse::into_response)?;
            return Ok(Self { access: Access::of_operator(), may_change: true });
        }
        let known = services.console.as_ref();
        let known = known.and_then(|console| Self::of_cookie(services, &console.tokens, &parts.headers));
        known.ok_or_else(|| sign_in_first(&parts.method, parts.uri.path_and_query().map_or(HOME, |uri| uri.as_str())))
    }
}

impl FromRequestParts<Services> for Changer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Response> {
        let operator = Operator::from_request_parts(parts, services).await?;
        if operator.may_change {
            return Ok(Self(operator));
        }
        Err(Problem::new(Code::MissingScope, "the caller's key lacks the scope for this").into_response())
    }
}

/// A page comes back after signing in; what was to be changed is not done behind anybody's back.
fn sign_in_first(method: &Method, wanted: &str) -> Response {
    let to: String = match *method {
        Method::GET => form_urlencoded::Serializer::new(String::new()).append_pair("to", wanted).finish(),
        _ => String::new(),
    };
    Redirect::to(&format!("{HOME}/login?{to}")).into_response()
}

#[derive(askama::Template)]
#[template(path = "login.html")]
struct Login {
    frame: Frame,
    to: String,
    wrong: Option<&'static str>,
}

/// Where to go after signing in.
#[derive(Deserialize)]
pub(super) struct To {
    #[serde(default)]
    to: String,
}

/// The form.
pub(super) async fn form(State(services): State<Services>, Query(To { to }): Query<To>) -> Response {
    login(&services, to, None)
}

fn login(services: &Services, to: String, wrong: Option<&'static str>) -> Response {
    let frame = Frame::unknown(services, "Sign in", Section::Login);
    let status = if wrong.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    (status, Page(Login { frame, to, wrong })).into_response()
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    key: String,
    #[serde(default)]
    to: String,
}

/// Begins a session for a caller's key. Wrong keys count as they do for calls.
pub(super) async fn sign_in(
    State(services): State<Services>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(Credentials { key, to }): Form<Credentials>,
) -> Result<Response, Problem> {
    let Some(console) = &services.console else { return Ok(Redirect::to(HOME).into_response()) };
    let caller = services.own.callers.authenticate(key.trim());
    let heard = services.own.attempts.hear(peer.ip(), caller.map(|caller| caller.name.as_str()), Instant::now());
    heard.map_err(auth::too_many)?;
    let Some(caller) = caller else { return Ok(login(&services, to, Some("This is no caller's key."))) };
    if Operator::of(caller).is_none() {
        let detail = "This key needs the scope ops, or read to look only, and must belong to no tenant.";
        return Ok(login(&services, to, Some(detail)));
    }
    let token = console.tokens.mint(Purpose::Console, &caller.name, Some(&caller.name), LIFE)?.token;
    let own = to.starts_with(HOME) && !to.contains("//") && !to.contains('\\');
    let to = if own { &to } else { HOME };
    Ok(([(header::SET_COOKIE, set(&headers, &token, LIFE)?)], Redirect::to(to)).into_response())
}

/// Ends the session of this browser.
pub(super) async fn sign_out(headers: HeaderMap) -> Result<Response, Problem> {
    let to = Redirect::to(&format!("{HOME}/login"));
    Ok(([(header::SET_COOKIE, set(&headers, "", 0)?)], to).into_response())
}

fn set(headers: &HeaderMap, value: &str, life: u64) -> Result<HeaderValue, Problem> {
    let encrypted = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if encrypted { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path={HOME}; Max-Age={life}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(text).map_err(|_| Problem::internal("a session cannot be written down"))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}
