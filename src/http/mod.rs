//! Floor 4: HTTP. What callers, browsers, Omni and probes see.
//!
//! One file per resource: `webhook`, `prompts`, `batch`, `prompt`, `result`, `chart`, `cancel`, `feedback`, `events`,
//! `entries`, `conversation_token`, `mcp_token`, `mcp`, `dead_letters`, `dead_letter`, `runs`, `explain`, `doctor`, `pauses`,
//! `audit`, `drain`, `probes`. Who may call stands in `auth`, how failures look in `problem`, what happens around every request
//! in `middleware`, all of it, for programs, in `contract`, and for people in `console`.

mod attempts;
mod audit;
mod auth;
mod batch;
mod body;
mod cancel;
mod chart;
mod code;
mod console;
mod contract;
mod conversation_token;
mod cors;
mod dead_letter;
mod dead_letters;
mod doctor;
mod drain;
mod entries;
mod events;
mod explain;
mod feed;
mod feedback;
mod frame;
mod history;
mod mcp;
mod mcp_token;
mod middleware;
mod own;
mod parameters;
mod pauses;
mod position;
mod probes;
mod problem;
mod prompt;
mod prompts;
mod reader;
mod result;
mod runs;
mod standing;
mod tail;
mod token;
mod wait;
mod wanted;
mod webhook;

pub use attempts::Attempts;
pub use console::{Console, Series};
pub use feed::Feeds;
pub use own::Own;
pub use prompt::for_operator as prompt_for_operator;
pub use standing::Rights;
pub use token::Tokens;
pub use webhook::Webhooks;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::http::StatusCode;
use tokio::sync::watch;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use contract::documents::{self, Documents};
use contract::openapi;

use crate::pipeline::{
    Canceller, Charts, DeadLetters, Doctor, Explainer, Gateway, Intake, KeyRing, Pauses, Rater, Runs,
};
use crate::runtime::{Clock, Stop};
use crate::store::Store;
use crate::store::wake::Wake;

/// What a process serves, by its roles.
pub struct Served {
    /// With any.
    pub own: Arc<Own>,
    /// With `receive`.
    pub webhooks: Option<Webhooks>,
    /// With `api`.
    pub services: Option<Services>,
}

/// What the handlers of `api` work with. Every request has a clone, so that it is one pointer.
#[derive(Clone)]
pub struct Services(Arc<ServiceParts>);

/// What [`Services`] are.
pub struct ServiceParts {
    /// What every process has.
    pub own: Arc<Own>,
    /// The store.
    pub store: Store,
    /// Accepts prompts.
    pub intake: Intake,
    /// Cancels prompts.
    pub canceller: Canceller,
    /// Fetches charts; `None` where they are off.
    pub charts: Option<Charts>,
    /// Passes feedback on.
    pub rater: Rater,
    /// Replays and discards.
    pub dead_letters: DeadLetters,
    /// Does so with many.
    pub runs: Runs,
    /// Pauses and resumes.
    pub pauses: Pauses,
    /// Tells stories.
    pub explainer: Explainer,
    /// Examines.
    pub doctor: Doctor,
    /// The keys to Omni.
    pub keys: Arc<KeyRing>,
    /// Passes agents' requests on.
    pub gateway: Gateway,
    /// Wakes those who wait.
    pub wake: Wake,
    /// What is new, for readers.
    pub feeds: Arc<Feeds>,
    /// Makes and reads tokens; `None` without secrets.
    pub tokens: Option<Arc<Tokens>>,
    /// Both as they are by now, for answers that last.
    pub rights: Arc<watch::Sender<Rights>>,
    /// What only the console needs; `None` where there is none.
    pub console: Option<Arc<Console>>,
    /// Time.
    pub clock: Clock,
    /// Ends long answers when the process stops.
    pub stop: Stop,
}

impl From<ServiceParts> for Services {
    fn from(parts: ServiceParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Services {
    type Target = ServiceParts;

    fn deref(&self) -> &ServiceParts {
        &self.0
    }
}

/// Probes, webhooks, `/v1`, and what describes them all.
pub fn public(served: &Served) -> Router {
    let mut router: Router = Router::from(probes()).with_state(served.own.clone());
    if let Some(webhooks) = &served.webhooks {
        router = router.merge(Router::from(hooks()).with_state(webhooks.clone()));
    }
    if let Some(services) = &served.services {
        router = router.merge(api(services.clone()));
    }
    middleware::framed(router)
}

/// What is described is the whole relay, whatever else of it this process does.
fn api(services: Services) -> Router {
    let calls = OpenApiRouter::with_openapi(openapi::base())
        .merge(v1().layer(cors::layer(&services.own.cors_origins)))
        .routes(agents().layer(cors::of_agents(&services.own.cors_origins)))
        .routes(routes!(documents::openapi))
        .routes(routes!(documents::asyncapi));
    let (router, mut described) = calls.split_for_parts();
    for others in [hooks().into_openapi(), probes().into_openapi(), own().into_openapi()] {
        described.merge(others);
    }
    let documents = Documents::new(described, services.store.keys().namespace());
    #[cfg(feature = "docs")]
    let router = router.merge(contract::page());
    router.layer(Extension(documents)).with_state(services)
}

fn hooks() -> OpenApiRouter<Webhooks> {
    let late = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, webhook::TIMEOUT);
    OpenApiRouter::default().routes(routes!(webhook::receive).layer(late))
}

fn probes() -> OpenApiRouter<Arc<Own>> {
    OpenApiRouter::default().routes(routes!(probes::livez)).routes(routes!(probes::readyz))
}

fn v1() -> OpenApiRouter<Services> {
    OpenApiRouter::default()
        .routes(routes!(prompts::create))
        .routes(routes!(batch::create))
        .routes(routes!(prompt::show))
        .routes(routes!(result::show))
        .routes(routes!(chart::show))
        .routes(routes!(cancel::cancel))
        .routes(routes!(feedback::rate))
        .routes(routes!(events::events))
        .routes(routes!(entries::list))
        .routes(routes!(conversation_token::create))
        .routes(routes!(mcp_token::create))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letter::show, dead_letter::discard))
        .routes(routes!(dead_letter::replay))
        .routes(routes!(runs::create, runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::stop))
        .routes(routes!(explain::explain))
        .routes(routes!(doctor::examine))
        .routes(routes!(pauses::list))
        .routes(routes!(pauses::pause_stage))
        .routes(routes!(pauses::resume_stage))
        .routes(routes!(pauses::pause_tenant))
        .routes(routes!(pauses::resume_tenant))
        .routes(routes!(audit::list))
}

/// What other methods are told is decided where the three are.
fn agents() -> UtoipaMethodRouter<Services> {
    let (schemas, paths, methods) = routes!(mcp::send, mcp::listen, mcp::end);
    (schemas, paths, methods.fallback(mcp::listen))
}

/// What concerns this process alone.
fn own() -> OpenApiRouter<Arc<Own>> {
    OpenApiRouter::default().routes(routes!(probes::metrics)).routes(routes!(drain::drain))
}

/// `/metrics`, `/drain` and `/console`.
pub fn admin(served: &Served) -> Router {
    let mut router: Router = Router::from(own()).with_state(served.own.clone());
    if let Some(services) = served.services.as_ref().filter(|services| services.console.is_some()) {
        router = router.merge(console::routes(services).with_state(services.clone()));
    }
    middleware::framed(router)
}
