//! The HTTP surface, on a whole relay: real Redis, the simulator as Omni.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod auth;
mod batch;
mod chart;
mod dead;
mod documents;
mod events;
mod feedback;
mod history;
mod limits;
mod operator;
mod problems;
mod prompts;
mod reload;
mod runs;
mod sse;
mod tokens;
mod webhooks;

use std::net::TcpListener;
use std::time::Duration;

use omni_relay::app::{App, Parts};
use omni_relay::config::{Config, Sources};
use omni_relay::runtime::{Lifecycle, Metrics};
use omni_relay::simulator::{Options, Simulator};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::contract::{Call, Client};
use crate::redis::TestRedis;

pub(super) const SECRET: &str = "a secret of sixteen bytes and more";
pub(super) const MODEL: &str = "11111111-1111-4111-8111-111111111111";
const PATIENCE: Duration = Duration::from_secs(10);

/// A running relay before a simulator.
pub(super) struct Relay {
    pub(super) app: App,
    pub(super) sim: Simulator,
    pub(super) lifecycle: Lifecycle,
    pub(super) redis_url: String,
    pub(super) namespace: String,
    base: String,
    http: Client,
    sources: Sources,
}

impl Relay {
    /// Without callers: everybody is the operator.
    pub(super) async fn start() -> Self {
        Self::with(|sources| sources).await
    }

    pub(super) async fn with(set: impl FnOnce(Sources) -> Sources) -> Self {
        let redis = TestRedis::start().await;
        Self::on(redis.url(), redis.namespace(), set).await
    }

    pub(super) async fn on(redis_url: &str, namespace: &str, set: impl FnOnce(Sources) -> Sources) -> Self {
        let options = Options {
            requests_per_minute: 0,
            // Long enough for a job to be announced before it ends, as jobs are.
            duration: Duration::from_millis(40)..=Duration::from_millis(60),
            accept_unknown_users: true,
            ..Options::default()
        };
        let sim = Simulator::start(options).await.expect("a loopback address can be bound");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback address can be bound");
        let base = format!("http://{}", listener.local_addr().expect("it is bound"));
        let sources = Sources::default()
            .with("namespace", namespace)
            .with("redis.url", redis_url)
            .with("http.listen", base.trim_start_matches("http://"))
            .with("http.admin_listen", base.trim_start_matches("http://"))
            .with("omni.base_url", sim.url())
            .with("omni.api_keys", "key")
            .with("omni.requests_per_minute", "100000")
            .with("omni.model_id", MODEL)
            .with("webhook.public_url", format!("{base}/webhooks/omni"))
            .with("webhook.secrets", SECRET);
        let sources = set(sources);
        let config = Config::load(sources.clone()).expect("a configuration").config;
        let lifecycle = Lifecycle::new();
        let parts = Parts::new(lifecycle.clone(), Metrics::install().expect("metrics"));
        drop(listener);
        let app = App::start(&config, parts).await.expect("the relay starts");
        let (redis_url, namespace) = (redis_url.to_owned(), namespace.to_owned());
        Self { app, sim, lifecycle, redis_url, namespace, base, http: Client::new(), sources }
    }

    /// Reloads with what it was started with, and this.
    pub(super) fn reload(&self, set: impl FnOnce(Sources) -> Sources) -> anyhow::Result<()> {
        let loaded = Config::load(set(self.sources.clone())).expect("a configuration");
        let settings = loaded.show();
        self.app.reload(loaded.config, settings, PATIENCE)
    }

    /// The same request from another address of this machine.
    pub(super) async fn get_from(&self, address: [u8; 4], path: &str, key: &str) -> Response {
        let http = reqwest::Client::builder().local_address(std::net::IpAddr::from(address)).build().unwrap();
        let http = Client::from(http);
        http.get(format!("{}{path}", self.base)).timeout(PATIENCE).bearer_auth(key).send().await.unwrap()
    }

    /// A connection.
    pub(super) async fn wire(&self) -> TcpStream {
        TcpStream::connect(self.base.trim_start_matches("http://")).await.unwrap()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(super) fn request(&self, method: Method, path: &str) -> Call {
        self.http.request(method, format!("{}{path}", self.base)).timeout(PATIENCE)
    }

    pub(super) fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    pub(super) fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Call {
        self.request(Method::POST, path).body(body)
    }

    pub(super) fn delete(&self, path: &str) -> Call {
        self.request(Method::DELETE, path)
    }

    pub(super) fn ask(&self, body: &Value) -> Call {
        self.post("/v1/prompts", body.to_string())
    }

    /// Asks in a conversation as the demo's user and waits for the answer.
    pub(super) async fn answered(&self, conversation: &str) -> Value {
        let answer = self.ask_and_wait(&json!({"conversation": conversation})).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// A good body with `more` in it; the answer comes at the end.
    pub(super) fn ask_and_wait(&self, more: &Value) -> Call {
        self.post("/v1/prompts?wait=10", question(more).to_string())
    }

    pub(super) async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    pub(super) async fn stop(self) {
        let outcome = self.lifecycle.stop(PATIENCE).await;
        assert_eq!(outcome, omni_relay::runtime::Outcome::Clean);
        self.sim.stop().await;
    }
}

/// A good body with `more` in it.
pub(super) fn question(more: &Value) -> Value {
    let mut body = json!({"prompt": "revenue by region?", "user": {"externalId": "demo-dana"}});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The problem in an answer with this status; it must be whole.
pub(super) async fn problem(answer: Response, status: u16) -> Value {
    assert_eq!(answer.status(), status);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
    assert!(problem["title"].is_string() && problem["code"].is_string(), "{problem}");
    problem
}

/// The pointers of a problem's errors.
pub(super) fn pointers(problem: &Value) -> Vec<&str> {
    let mut found: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    found.sort_unstable();
    found
}

pub(super) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
