//! Omni's MCP server: an agent's request goes there as it stands, and the answer comes back as Omni sends it, piece by piece.
//! Nothing of the protocol is read here but the name of its session; which headers pass is decided here, by lists.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::{self, Operation};
use super::client::{self, OmniSetupError};
use super::error::{OmniError, TransportError};

const PATH: &str = "/mcp/https";
/// The name of a session, in requests and in the answer that opens it.
pub const MCP_SESSION: &str = "mcp-session-id";
/// From where a stream goes on. Events have names within a session; what belongs to none might be another agent's.
const LAST_EVENT: &str = "last-event-id";
/// What Omni may see of a request, and the agent of an answer; and whatever else is the protocol's own.
const REQUEST: [&str; 4] = ["accept", "content-type", "traceparent", "tracestate"];
const ANSWER: [&str; 3] = ["content-type", "retry-after", "allow"];
const PROTOCOL: &str = "mcp-";

/// An agent's request.
pub struct McpRequest {
    pub method: Method,
    /// All that the agent sent. What is on no list goes no further.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The session that it belongs to, whatever the headers say.
    pub session: Option<String>,
    /// The model and topic to keep to.
    pub model_id: Option<Uuid>,
    pub topic: Option<String>,
}

/// The head of Omni's answer, and its body as it comes.
pub struct McpAnswer {
    pub status: StatusCode,
    /// What the agent may see.
    pub headers: HeaderMap,
    response: Response,
}

/// A client for long answers. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct McpClient {
    client: Client,
    url: Url,
    patience: Duration,
}

impl McpClient {
    /// A client for the Omni at this origin. `patience` is from the start of a request to the head of its answer.
    pub fn new(base_url: &Url, patience: Duration) -> Result<Self, OmniSetupError> {
        let client = Client::builder()
            .user_agent(client::USER_AGENT)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            // Streams stay open for hours: on one shared connection they would use up what HTTP/2 lets stand side by side.
            .http1_only()
            // What is unpacked comes in blocks, not as it was sent.
            .gzip(false)
            .connect_timeout(client::LONGEST_CONNECT.min(patience / 2))
            .pool_idle_timeout(client::POOL_IDLE)
            .build()
            .map_err(OmniSetupError::Client)?;
        let mut url = base_url.clone();
        url.set_path(PATH);
        Ok(Self { client, url, patience })
    }

    /// Sends once, on behalf of `user` (Omni's id); it may have been received even where no answer comes. An answer that is
    /// for the agent is one whatever its status: what concerns the relay's key, and what Omni cannot do now, is an error.
    pub async fn exchange(&self, key: &ApiKey, user: Uuid, request: McpRequest) -> Result<McpAnswer, OmniError> {
        let started = Instant::now();
        let (label, outcome) = self.send(key, user, request).await;
        client::count(Operation::Mcp, label, started.elapsed());
        outcome
    }

    async fn send(
        &self,
        key: &ApiKey,
        user: Uuid,
        request: McpRequest,
    ) -> (&'static str, Result<McpAnswer, OmniError>) {
        let mut headers = passed(&request.headers, &REQUEST);
        headers.remove(MCP_SESSION);
        let mut sent = self
            .client
            .request(request.method, self.url.clone())
            .headers(headers)
            .header(AUTHORIZATION, key.authorization())
            .header("x-mcp-user-id", user.to_string())
            .header("x-mcp-user-required", "true")
            .body(request.body);
        if let Some(session) = request.session {
            sent = sent.header(MCP_SESSION, session);
            if let Some(event) = request.headers.get(LAST_EVENT) {
                sent = sent.header(LAST_EVENT, event);
            }
        }
        if let Some(model_id) = request.model_id {
            sent = sent.header("x-mcp-model-id", model_id.to_string());
        }
        if let Some(topic) = request.topic {
            sent = sent.header("x-mcp-topic-name", topic.as_bytes());
        }
        let response = match tokio::time::timeout(self.patience, sent.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return client::lost(Operation::Mcp, error),
            Err(_) => return ("timeout", Err(OmniError::Late)),
        };
        let (status, headers) = (response.status(), response.headers());
        let label = client::class(status.as_u16());
        let headers = match status.as_u16() {
            401 | 429 | 300..=399 | 500.. => {
                return (label, Err(classify::status(Operation::Mcp, status, headers, b"")));
            }
            _ => passed(headers, &ANSWER),
        };
        (label, Ok(McpAnswer { status, headers, response }))
    }
}

impl McpRequest {
    /// Whether it ends its session, should Omni agree.
    pub fn ends_session(&self) -> bool {
        self.method == Method::DELETE
    }
}

impl McpAnswer {
    /// The session that Omni opened, or goes on with.
    pub fn session(&self) -> Option<&str> {
        self.headers.get(MCP_SESSION)?.to_str().ok()
    }

    /// The body, as it comes; for as long as it is not dropped.
    pub fn into_body(self) -> impl Stream<Item = Result<Bytes, TransportError>> {
        self.response.bytes_stream().map_err(TransportError::from)
    }
}

fn passed(headers: &HeaderMap, list: &[&str]) -> HeaderMap {
    let passes = |name: &HeaderName| list.contains(&name.as_str()) || name.as_str().starts_with(PROTOCOL);
    headers.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}
