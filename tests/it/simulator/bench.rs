//! A simulator, a client for it and a receiver of its webhooks.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use omni_relay::simulator::{JobState, JobView, Options, Simulator};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use crate::openapi;

pub(super) const JOBS: &str = "/api/v1/ai/jobs";
pub(super) const SECRET: &str = "a secret of the test";
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Bench {
    pub(super) sim: Simulator,
    pub(super) hooks: Hooks,
    http: Client,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    pub(super) raw: Bytes,
}

/// A received webhook, its body as it came.
pub(super) struct Hook {
    pub(super) headers: HeaderMap,
    pub(super) raw: Bytes,
}

pub(super) struct Hooks {
    pub(super) url: String,
    received: UnboundedReceiver<Hook>,
    replies: Arc<Mutex<VecDeque<u16>>>,
    _server: JoinSet<()>,
}

/// Quick jobs, no budget, hardly a pause between tries.
pub(super) fn quick() -> Options {
    Options {
        requests_per_minute: 0,
        duration: Duration::from_millis(10)..=Duration::from_millis(30),
        webhook_backoff: Duration::from_millis(5),
        ..Options::default()
    }
}

impl Bench {
    pub(super) async fn start() -> Self {
        Self::with(quick()).await
    }

    pub(super) async fn with(options: Options) -> Self {
        let sim = Simulator::start(options).await.expect("a loopback address can be bound");
        Self { sim, hooks: Hooks::start().await, http: Client::new() }
    }

    /// A create as the relay would send it.
    pub(super) fn order(&self, prompt: &str) -> Value {
        json!({
            "modelId": Uuid::from_u128(7),
            "prompt": prompt,
            "webhookUrl": self.hooks.url,
            "webhookSigningSecret": SECRET,
            "webhookMetadata": { "promptId": "p-1", "deep": { "kept": [1, null] } },
        })
    }

    /// Calls with a key. An answer the document declares must be as declared.
    pub(super) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.call_with("any key", method, path, body).await.expect("the simulator answers");
        if openapi::declares(method, path, answer.status) {
            openapi::check_response(method, path, answer.status, &answer.body);
        }
        answer
    }

    pub(super) async fn call_with(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, self.sim.url() + path);
        if !key.is_empty() {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.body(body.to_string()).header("Content-Type", "application/json");
        }
        let response = timeout(PATIENCE, request.send()).await.expect("an answer in time")?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?;
        let body = match headers.get("content-type") {
            None => Value::Null,
            Some(kind) if kind == "image/png" => String::from_utf8_lossy(&bytes).into(),
            Some(_) => serde_json::from_slice(&bytes).expect("JSON"),
        };
        Ok(Answer { status, headers, body, raw: bytes })
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    /// Creates a job, or panics; answers its id.
    pub(super) async fn create(&self, prompt: &str) -> Uuid {
        self.send(&self.order(prompt)).await
    }

    pub(super) async fn follow_up(&self, job: Uuid, prompt: &str) -> Uuid {
        let mut order = self.order(prompt);
        order["conversationId"] = json!(self.view(job).conversation_id);
        self.send(&order).await
    }

    pub(super) async fn send(&self, order: &Value) -> Uuid {
        openapi::check_request("POST", JOBS, order);
        let answer = self.call("POST", JOBS, Some(order)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        serde_json::from_value(answer.body["jobId"].clone()).expect("a UUID")
    }

    pub(super) fn view(&self, job: Uuid) -> JobView {
        self.sim.job(job).expect("the job exists")
    }

    pub(super) async fn until(&self, job: Uuid, what: impl Fn(&JobView) -> bool) -> JobView {
        let look = |sim: &Simulator| sim.job(job).filter(|view| what(view));
        timeout(PATIENCE, self.sim.until(look)).await.expect("the job gets there in time")
    }

    pub(super) async fn until_state(&self, job: Uuid, state: JobState) {
        self.until(job, |view| view.state == state).await;
    }

    /// Asks, waits, answers the result.
    pub(super) async fn ask(&self, prompt: &str) -> (Uuid, Value) {
        let job = self.create(prompt).await;
        (job, self.result(job).await)
    }

    pub(super) async fn result(&self, job: Uuid) -> Value {
        self.until_state(job, JobState::Complete).await;
        let answer = self.get(&format!("{JOBS}/{job}/result")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }
}

impl Hooks {
    async fn start() -> Self {
        type Shared = (UnboundedSender<Hook>, Arc<Mutex<VecDeque<u16>>>);
        async fn receive(State((sender, replies)): State<Shared>, headers: HeaderMap, raw: Bytes) -> StatusCode {
            sender.send(Hook { headers, raw }).ok();
            let status = replies.lock().expect("no test panics holding it").pop_front().unwrap_or(200);
            StatusCode::from_u16(status).expect("a status")
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback address can be bound");
        let url = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
        let (sender, received) = unbounded_channel();
        let replies = Arc::new(Mutex::new(VecDeque::new()));
        let router = Router::new().route("/hook", post(receive)).with_state((sender, Arc::clone(&replies)));
        let mut server = JoinSet::new();
        server.spawn(async move { drop(axum::serve(listener, router).await) });
        Self { url, received, replies, _server: server }
    }

    /// What the next webhooks are answered with; 200 after that.
    pub(super) fn reply(&self, statuses: &[u16]) {
        self.replies.lock().expect("no test panics holding it").extend(statuses);
    }

    pub(super) async fn next(&mut self) -> Hook {
        timeout(PATIENCE, self.received.recv()).await.expect("a webhook in time").expect("the receiver runs")
    }

    /// True when nothing came beyond what was taken.
    pub(super) fn is_empty(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

impl Hook {
    pub(super) fn body(&self) -> Value {
        serde_json::from_slice(&self.raw).expect("JSON")
    }

    /// Whether the signature is right for the body as it came, worked out here and not by the simulator.
    pub(super) fn is_genuine(&self) -> bool {
        let header =
            |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).expect("a signed webhook");
        let digest = header("X-Omni-Signature").strip_prefix("sha256=").expect("the scheme's name");
        assert_eq!(digest, digest.to_lowercase());
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
        mac.update(format!("{}.", header("X-Omni-Signature-Timestamp")).as_bytes());
        mac.update(&self.raw);
        mac.verify_slice(&hex::decode(digest).expect("hex")).is_ok()
    }
}
