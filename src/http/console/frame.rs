//! What all pages have in common: the frame around them, the headers on them, and how a failure looks.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::session::Operator;
use crate::http::Services;
use crate::http::middleware::{AsItCame, RequestId};
use crate::http::problem::Problem;

/// Nothing comes from elsewhere, nothing in a page runs, nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// The part of the console that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Login,
    Overview,
    Search,
    Letters,
    Runs,
    Budget,
    Consumers,
    Doctor,
    Audit,
    Settings,
}

/// What stands in the navigation.
const MENU: [(Section, &str, &str); 8] = [
    (Section::Overview, "/console", "Overview"),
    (Section::Letters, "/console/dead-letters", "Dead letters"),
    (Section::Runs, "/console/runs", "Runs"),
    (Section::Budget, "/console/budget", "Budget"),
    (Section::Consumers, "/console/consumers", "Consumers"),
    (Section::Doctor, "/console/doctor", "Doctor"),
    (Section::Audit, "/console/audit", "Audit"),
    (Section::Settings, "/console/settings", "Settings"),
];

/// What a template needs for the frame.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) namespace: String,
    /// Who looks; `None` on pages for whoever is not known.
    pub(super) who: Option<String>,
    pub(super) may_change: bool,
    /// Whether there is a session that can be ended.
    pub(super) signed_in: bool,
    section: Section,
}

impl Frame {
    /// Around a page for somebody.
    pub(super) fn of(services: &Services, operator: &Operator, section: Section, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            who: Some(operator.who()),
            may_change: operator.may_change,
            signed_in: operator.access.caller().is_some(),
            ..Self::unknown(services, "", section)
        }
    }

    /// Around a page for whoever comes.
    pub(super) fn unknown(services: &Services, title: impl Into<String>, section: Section) -> Self {
        Self {
            title: title.into(),
            namespace: services.store.keys().namespace().to_owned(),
            who: None,
            may_change: false,
            signed_in: false,
            section,
        }
    }

    /// Address, name, and whether it is the page's own.
    pub(super) fn menu(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> + '_ {
        MENU.into_iter().map(|(section, address, name)| (address, name, section == self.section))
    }
}

/// A template as an answer.
pub(super) struct Page<T>(pub(super) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(text) => Html(text).into_response(),
            Err(_) => Problem::internal("a page cannot be written").into_response(),
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Failed {
    frame: Frame,
    problem: Problem,
    id: String,
}

/// Puts the headers on every answer, and writes problems down as pages.
pub(super) async fn dress(State(services): State<Services>, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.to_string()).unwrap_or_default();
    let mut answer = next.run(request).await;
    let status = answer.status();
    let failed = status.is_client_error() || status.is_server_error();
    let page = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let bare = || (failed && !page).then(|| Problem::of_status(status));
    if let Some(problem) = answer.extensions().get::<Problem>().cloned().or_else(bare) {
        let frame = Frame::unknown(&services, problem.status.canonical_reason().unwrap_or("Error"), Section::Login);
        *answer.body_mut() = Page(Failed { frame, problem, id }).into_response().into_body();
        answer.headers_mut().remove(header::CONTENT_LENGTH);
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    }
    answer.extensions_mut().insert(AsItCame);
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
