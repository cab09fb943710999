//! The client against an Omni that does as it is told: what we send is held against the published contract, and
//! every way in which an answer can fail to come is tried.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod conversations;
mod mcp;
mod outages;
mod refusals;
mod requests;
mod users;

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use omni_relay::model::Feedback;
use omni_relay::omni::{ApiKey, CreateJob, EmbedUser, Omni, OmniError, OmniOptions, SessionPath, UserSearch};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;
use uuid::Uuid;

use crate::openapi;

const MODEL: Uuid = Uuid::from_u128(0x770e_8400_e29b_41d4_a716_4466_5544_0002);
const CONVERSATION: Uuid = Uuid::from_u128(0x660e_8400_e29b_41d4_a716_4466_5544_0001);
const JOB: Uuid = Uuid::from_u128(0x550e_8400_e29b_41d4_a716_4466_5544_0000);
const USER: Uuid = Uuid::from_u128(0x990e_8400_e29b_41d4_a716_4466_5544_0004);
const TOKEN: &str = "omni_osk_top-secret";
const RESULT_LIMIT: usize = 100_000;

/// Answers every request by one rule and remembers them all.
struct Stub {
    url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
    _server: JoinSet<()>,
}

#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

type Rule = Arc<dyn Fn(Seen) -> BoxFuture<'static, Response> + Send + Sync>;

impl Stub {
    async fn answering<R: IntoResponse>(rule: impl Fn(&Seen) -> R + Send + Sync + 'static) -> Self {
        let rule = Arc::new(rule);
        Self::serving(Arc::new(move |seen| {
            let response = rule(&seen).into_response();
            Box::pin(async move { response })
        }))
        .await
    }

    async fn silent() -> Self {
        Self::serving(Arc::new(|_| Box::pin(pending()))).await
    }

    async fn serving(rule: Rule) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().fallback(record).with_state((rule, Arc::clone(&seen)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = origin("http", &listener);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, seen, _server: server }
    }

    fn omni(&self) -> Omni {
        omni(self.url.clone(), Duration::from_secs(10))
    }

    fn hasty(&self) -> Omni {
        omni(self.url.clone(), Duration::from_millis(200))
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The operation exists, takes this body (or none), and declares every query parameter with this form.
    fn keeps_to_the_contract(&self) {
        if self.body.is_empty() {
            assert!(openapi::declares(&self.method, &self.path, 200), "no {} {}", self.method, self.path);
        } else {
            openapi::check_request(&self.method, &self.path, &self.json());
        }
        self.takes_declared_parameters();
    }

    /// Numbers stand in a query as text.
    fn takes_declared_parameters(&self) {
        let document: Value = serde_yaml_ng::from_str(include_str!("../data/omni/openapi.yaml")).unwrap();
        let operation = &document["paths"][self.template()][self.method.to_lowercase()];
        let declared = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        for (name, value) in &self.query {
            let parameter = declared.iter().find(|one| one["in"] == "query" && one["name"] == **name);
            let schema = &parameter.unwrap_or_else(|| panic!("{name} is not declared"))["schema"];
            let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
            let number = value.parse::<u64>().ok().filter(|_| schema["type"] == "integer");
            let value = number.map_or_else(|| json!(value), |number| json!(number));
            assert!(validator.is_valid(&value), "{name}={value}");
        }
    }

    fn template(&self) -> String {
        self.path.replace(&JOB.to_string(), "{jobId}").replace(&CONVERSATION.to_string(), "{conversationId}")
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

async fn record(State((rule, seen)): State<(Rule, Arc<Mutex<Vec<Seen>>>)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let one = Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query.into_owned().collect(),
        headers: parts.headers,
        body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
    };
    seen.lock().unwrap().push(one.clone());
    rule(one).await
}

fn origin(scheme: &str, listener: &TcpListener) -> Url {
    format!("{scheme}://{}", listener.local_addr().unwrap()).parse().unwrap()
}

fn omni(base_url: Url, timeout: Duration) -> Omni {
    Omni::new(OmniOptions { base_url, timeout, result_max_bytes: RESULT_LIMIT }).unwrap()
}

fn key() -> ApiKey {
    ApiKey::new(&SecretString::from(TOKEN)).unwrap()
}

fn job() -> CreateJob<'static> {
    CreateJob {
        model_id: MODEL,
        prompt: "What are the top 5 products by revenue?",
        conversation_id: None,
        branch_id: None,
        topic_name: None,
        attachments: None,
        user_id: None,
        webhook: None,
        progress: false,
    }
}

fn user() -> EmbedUser<'static> {
    static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    EmbedUser { external_id: "user-123", name: "ACME's Ada", others: &NOTHING }
}

fn feedback() -> Feedback {
    Feedback::parse(br#"{"rating": "bad", "comment": "revenue of ACME is wrong"}"#).unwrap()
}

fn created() -> (StatusCode, Json<Value>) {
    let url = format!("https://acme.omni.co/chat/{CONVERSATION}");
    let body = json!({"jobId": JOB, "conversationId": CONVERSATION, "omniChatUrl": url, "newMember": 1});
    (StatusCode::CREATED, Json(body))
}

/// One call of each kind, by name.
async fn call(omni: &Omni, operation: &str) -> Result<(), OmniError> {
    match operation {
        "create" => omni.create(&key(), &job()).await.map(drop),
        "status" => omni.status(&key(), JOB).await.map(drop),
        "result" => omni.result(&key(), JOB).await.map(drop),
        "cancel" => omni.cancel(&key(), JOB).await.map(drop),
        "chart" => omni.chart(&key(), JOB).await.map(drop),
        "feedback" => omni.feedback(&key(), JOB, Some(USER), &feedback()).await,
        "users" => omni.look_for_user(&key(), "user-123", UserSearch::default()).await.map(drop),
        "session" => omni.generate_session(&key(), SessionPath::V1, user()).await,
        "conversations" => omni.conversations(&key(), None, None).await.map(drop),
        "conversation" => omni.conversation(&key(), CONVERSATION).await.map(drop),
        other => unreachable!("{other}"),
    }
}

const OPERATIONS: [&str; 10] =
    ["create", "status", "result", "cancel", "chart", "feedback", "users", "session", "conversations", "conversation"];

/// Nothing of a request or an answer is in what an error shows of itself.
fn assert_discreet(error: &OmniError) {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        shown = format!("{shown} {inner} {inner:?}");
        source = inner.source();
    }
    for secret in ["top-secret", "user-123", "ACME", "products by revenue", "/api/"] {
        assert!(!shown.contains(secret), "{secret} in: {shown}");
    }
}

fn endless_body() -> Body {
    Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b' '; 8192]))))
}
