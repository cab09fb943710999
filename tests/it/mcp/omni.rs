//! An Omni with an MCP server: the official Rust SDK's, which nobody here wrote, with a few tools. What else is asked of it
//! goes to a simulator.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ProgressNotificationParam, RequestMetaObject, ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler, schemars, tool, tool_handler, tool_router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Answers in the place of the MCP server.
pub(crate) type Rule = Arc<dyn Fn(Seen) -> BoxFuture<'static, Response> + Send + Sync>;

pub(crate) struct Omni {
    pub(crate) url: String,
    state: Shared,
    _server: JoinSet<()>,
}

/// A request to the MCP server.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

type Shared = Arc<Inner>;

struct Inner {
    simulator: Mutex<String>,
    seen: Mutex<Vec<Seen>>,
    rule: Mutex<Option<Rule>>,
    steps: Semaphore,
    http: reqwest::Client,
}

impl Omni {
    pub(crate) async fn start(listen: &str) -> Self {
        let state = Arc::new(Inner {
            simulator: Mutex::default(),
            seen: Mutex::default(),
            rule: Mutex::default(),
            steps: Semaphore::new(0),
            http: reqwest::Client::new(),
        });
        let tools = Tools { state: state.clone() };
        let service = StreamableHttpService::new(
            move || Ok(tools.clone()),
            Arc::new(LocalSessionManager::default()),
            StreamableHttpServerConfig::default(),
        );
        let mcp = Router::new().route_service("/mcp/https", service);
        let router =
            mcp.layer(from_fn_with_state(state.clone(), look)).fallback(ask_simulator).with_state(state.clone());
        let listener = TcpListener::bind(listen).await.expect("an address to listen on");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, state, _server: server }
    }

    /// Where everything else goes.
    pub(crate) fn before(&self, simulator: &str) {
        simulator.clone_into(&mut self.state.simulator.lock().expect("nobody panicked"));
    }

    /// What came to the MCP server.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("nobody panicked").clone()
    }

    /// From now on the MCP server answers by a rule; `None`: by itself.
    pub(crate) fn rule(&self, rule: Option<Rule>) {
        *self.state.rule.lock().expect("nobody panicked") = rule;
    }

    /// From now on the MCP server answers this.
    pub(crate) fn answers<R: IntoResponse>(&self, answer: impl Fn(&Seen) -> R + Send + Sync + 'static) {
        self.rule(Some(Arc::new(move |seen| {
            let answer = answer(&seen).into_response();
            Box::pin(async move { answer })
        })));
    }

    /// Lets a tool that counts go on.
    pub(crate) fn step(&self) {
        self.state.steps.add_permits(1);
    }
}

async fn look(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // A body that breaks off reached nobody.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let seen =
        Seen { method: parts.method.clone(), headers: parts.headers.clone(), body: body.clone(), at: Instant::now() };
    state.seen.lock().expect("nobody panicked").push(seen.clone());
    let rule = state.rule.lock().expect("nobody panicked").clone();
    match rule {
        Some(rule) => rule(seen).await,
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    }
}

async fn ask_simulator(State(state): State<Shared>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
    let url = format!("{}{}", state.simulator.lock().expect("nobody panicked"), parts.uri);
    parts.headers.remove("host");
    let answer = state.http.request(parts.method, url).headers(parts.headers).body(body).send().await;
    let answer = answer.expect("the simulator answers");
    let (status, headers) = (answer.status(), answer.headers().clone());
    let kind = headers.get("content-type").cloned();
    let mut response = (status, answer.bytes().await.expect("a whole answer")).into_response();
    if let Some(kind) = kind {
        response.headers_mut().insert("content-type", kind);
    }
    response
}

#[derive(Clone)]
struct Tools {
    state: Shared,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Count {
    steps: u32,
}

#[tool_router]
impl Tools {
    #[tool(description = "On whose behalf, with which model and topic this was called")]
    async fn whoami(&self, Extension(parts): Extension<request::Parts>) -> String {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        json!({"user": header("x-mcp-user-id"), "required": header("x-mcp-user-required"),
               "model": header("x-mcp-model-id"), "topic": header("x-mcp-topic-name")})
        .to_string()
    }

    #[tool(description = "Counts; tells each number and waits for a step before the next")]
    async fn count(
        &self,
        Parameters(Count { steps }): Parameters<Count>,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
    ) -> Result<String, ErrorData> {
        let token = meta.get_progress_token().ok_or(ErrorData::invalid_params("a progress token is needed", None))?;
        for step in 1..=steps {
            let progress = ProgressNotificationParam::new(token.clone(), f64::from(step)).with_total(f64::from(steps));
            client.notify_progress(progress).await.map_err(|_| ErrorData::internal_error("nobody listens", None))?;
            self.state.steps.acquire().await.expect("it is never closed").forget();
        }
        Ok(format!("counted to {steps}"))
    }

    #[tool(description = "Says that the tools have changed, to whoever listens")]
    async fn announce(&self, client: Peer<RoleServer>) -> Result<String, ErrorData> {
        client.notify_tool_list_changed().await.map_err(|_| ErrorData::internal_error("nobody listens", None))?;
        Ok("announced".to_owned())
    }

    #[tool(description = "Lets what counts go on")]
    async fn step(&self) -> String {
        self.state.steps.add_permits(1);
        "on it goes".to_owned()
    }
}

#[tool_handler(router = Self::tool_router())]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
    }
}
