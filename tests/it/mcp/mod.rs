//! The MCP gateway, on a whole relay: real Redis, an Omni whose MCP server is another project's.

mod agents;
mod budget;
mod headers;
pub(crate) mod omni;
mod sessions;
mod streams;
mod tokens;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use omni_relay::config::Sources;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::contract::Call;
use crate::world::{MODEL, PATIENCE, Setting, World};
use omni::Omni;

const SECOND_MODEL: &str = "aaaaaaaa-2222-4222-8222-222222222222";

/// A world in which Omni has an MCP server.
struct Bed {
    world: World,
    omni: Arc<Omni>,
}

impl Bed {
    async fn new() -> Self {
        Self::with(Setting::default(), |sources| sources).await
    }

    async fn with(setting: Setting, more: impl Fn(Sources) -> Sources + Send + Sync + 'static) -> Self {
        let omni = Arc::new(Omni::start("127.0.0.1:0").await);
        let before = omni.clone();
        let adjust = move |sources: Sources| {
            before.before(&sources.env["OMNI_RELAY__OMNI__BASE_URL"]);
            let sources = sources
                .with("omni.base_url", before.url.clone())
                .with("callers.agents.key", "agents-key")
                .with("callers.agents.tenant", "acme")
                .with("callers.agents.scopes", "mcp")
                .with("callers.others.key", "others-key")
                .with("callers.others.tenant", "acme")
                .with("callers.others.scopes", "mcp")
                .with("callers.bound.key", "bound-key")
                .with("callers.bound.scopes", "mcp")
                .with("callers.bound.models", format!("{MODEL},{SECOND_MODEL}"))
                .with("callers.bound.topics", "orders,order items")
                .with("callers.chat.key", "chat-key");
            more(sources)
        };
        let world = World::with(Setting { adjust: Box::new(adjust), ..setting }).await;
        Self { world, omni }
    }

    fn url(&self) -> String {
        format!("{}/mcp", self.world.url)
    }

    /// A request to the gateway.
    fn bare(&self, method: Method) -> Call {
        let accept = "application/json, text/event-stream";
        self.world.http.request(method, self.url()).timeout(PATIENCE).header("Accept", accept)
    }

    /// A request of Dana's agent.
    fn request(&self, method: Method) -> Call {
        self.bare(method).bearer_auth("agents-key").header("X-Relay-User", "dana")
    }

    /// A message of Dana's agent.
    fn post(&self, message: &Value) -> Call {
        self.request(Method::POST).json(message)
    }

    /// A session of Dana's agent that is ready for use.
    async fn session(&self) -> String {
        let answer = self.post(&initialize()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let session = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        Events::of(answer).result().await;
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = self.in_session(&session, &ready).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        session
    }

    fn in_session(&self, session: &str, message: &Value) -> Call {
        self.post(message).header("Mcp-Session-Id", session)
    }

    /// How many requests came to Omni's MCP server.
    fn arrived(&self) -> usize {
        self.omni.seen().len()
    }
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}})
}

fn list() -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
}

/// Counts to `steps`, and tells each number.
fn count(steps: u32) -> Value {
    json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
        "name": "count", "arguments": {"steps": steps}, "_meta": {"progressToken": "p"}}})
}

/// Messages as they come.
struct Events {
    response: Response,
    received: String,
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, received: String::new() }
    }

    /// The next message; `None` once the stream has ended cleanly.
    async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.received.find("\n\n") {
                let block: String = self.received.drain(..end + 2).collect();
                let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                let data = data.concat();
                // One without a message says from where to go on.
                if !data.trim().is_empty() {
                    return Some(serde_json::from_str(&data).expect("a message"));
                }
            }
            let chunk = timeout(Duration::from_secs(10), self.response.chunk()).await.expect("a message in time");
            self.received.push_str(std::str::from_utf8(&chunk.expect("a clean stream")?).unwrap());
        }
    }

    /// The next message, which is a result.
    async fn result(&mut self) -> Value {
        let mut message = self.next().await.expect("a message");
        assert!(message["result"].is_object(), "{message}");
        message["result"].take()
    }
}
