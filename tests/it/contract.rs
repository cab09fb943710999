//! What the relay answers and publishes, held against the documents that it serves.
//!
//! The documents promise what is there and leave room for more; here nothing may be there that they do not name.

use std::fmt::Display;
use std::time::Duration;

use axum::http;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Body, IntoUrl, Method, RequestBuilder, Response, ResponseBuilderExt, StatusCode};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::{Position, Url};

use crate::described::Described;

static SERVED: OnceCell<Contract> = OnceCell::const_new();

/// Both documents. They are the same for every relay, but for the addresses of streams.
pub(crate) struct Contract {
    calls: Described,
    entries: Described,
}

impl Contract {
    /// As the relay at this address serves it.
    pub(crate) async fn of(url: &str) -> &'static Self {
        let served = async |name: &str| -> Described {
            let answer = reqwest::get(format!("{url}/{name}")).await.expect("the relay answers");
            assert_eq!(answer.headers()["content-type"], "application/json");
            Described::new(closed(answer.json().await.expect("a document is JSON")))
        };
        SERVED
            .get_or_init(async || Self { calls: served("openapi.json").await, entries: served("asyncapi.json").await })
            .await
    }

    /// Panics unless the document has this answer to this call.
    fn check(&self, method: &Method, path: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        let status = status.as_u16();
        let described = self.calls.template(path).filter(|_| *method != Method::OPTIONS);
        let Some(template) = described else {
            assert!(
                path.starts_with("/docs") || *method == Method::OPTIONS || status == 404,
                "{status} of {method} {path}"
            );
            return;
        };
        let what = format!("{status} response of {method} {template}");
        let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        let (response, content) = if let Some(operation) = self.calls.operation(method.as_str(), path) {
            let answers = &operation["responses"];
            let response = answers.get(status.to_string()).or(answers.get("default"));
            let response = response.unwrap_or_else(|| panic!("{what}: the document does not declare this status"));
            (response, &response["content"])
        } else {
            assert_eq!(status, 405, "{method} {path}");
            (&Value::Null, &problem)
        };
        for name in response["headers"].as_object().into_iter().flat_map(|named| named.keys()) {
            assert!(headers.contains_key(name), "{what} has no {name}");
        }
        if *method == Method::HEAD {
            return;
        }
        let kind = headers.get("content-type").map(|kind| kind.to_str().expect("text"));
        let Some(content) = content.as_object() else {
            assert!(body.is_empty() && kind.is_none(), "{what}: the document declares no body");
            return;
        };
        if content.contains_key("*/*") && kind != Some("application/problem+json") {
            return;
        }
        let declared = content.get(kind.unwrap_or_default());
        let declared = declared.unwrap_or_else(|| panic!("{what}: the document does not declare {kind:?}"));
        if kind.is_some_and(|kind| kind.ends_with("json")) {
            let body: Value = serde_json::from_slice(body).unwrap_or_else(|_| panic!("{what}: no JSON"));
            self.calls.check(&declared["schema"], &body, &what);
            if let (Some("application/problem+json"), Some(codes)) = (kind, response["description"].as_str()) {
                assert!(
                    codes.contains(&format!("`{}`", body["code"].as_str().unwrap())),
                    "{what} has no such code: {body}"
                );
            }
        }
    }

    /// Panics unless this is an entry as the document has it: its fields in Redis, and the event that they are.
    pub(crate) fn check_entry(&self, fields: &Value, event: &Value) {
        let kind = event["type"].as_str().expect("a type");
        self.check_message("conversation", kind, fields);
        self.check_message("events", kind, event);
    }

    /// Panics unless this may be the data of a server-sent event.
    pub(crate) fn check_message(&self, channel: &str, kind: &str, payload: &Value) {
        let what = format!("{kind} in {channel}");
        let message = self.entries.resolve(&self.entries.document["channels"][channel]["messages"][kind]);
        assert!(message.is_object(), "{what}: the document does not declare it");
        let message = self.entries.resolve(message);
        self.entries.check(&message["payload"], payload, &what);
    }
}

/// The document with every object closed whose members it names.
fn closed(mut document: Value) -> Value {
    fn close(schema: &mut Value) {
        open(schema);
        if ["$ref", "allOf", "oneOf", "properties"].iter().any(|name| schema.get(*name).is_some()) {
            *schema = json!({"allOf": [schema.take()], "unevaluatedProperties": false});
        }
    }
    /// Closes what it is made of: parts of one object are no objects.
    fn open(schema: &mut Value) {
        if let Some(Value::Object(members)) = schema.get_mut("properties") {
            members.values_mut().for_each(close);
        }
        schema.get_mut("items").into_iter().for_each(close);
        for parts in ["allOf", "oneOf"] {
            schema.get_mut(parts).and_then(Value::as_array_mut).into_iter().flatten().for_each(open);
        }
    }
    fn walk(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match name.as_str() {
                        "schemas" => value.as_object_mut().into_iter().flatten().for_each(|(_, schema)| open(schema)),
                        "schema" | "payload" => close(value),
                        _ => walk(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut document);
    document
}

/// Calls relays, and holds what they answer against what they say of themselves.
#[derive(Clone, Default)]
pub(crate) struct Client(reqwest::Client);

/// A call that is being put together.
pub(crate) struct Call(RequestBuilder);

impl From<reqwest::Client> for Client {
    fn from(client: reqwest::Client) -> Self {
        Self(client)
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn request(&self, method: Method, url: impl IntoUrl) -> Call {
        Call(self.0.request(method, url))
    }

    pub(crate) fn get(&self, url: impl IntoUrl) -> Call {
        self.request(Method::GET, url)
    }

    pub(crate) fn post(&self, url: impl IntoUrl) -> Call {
        self.request(Method::POST, url)
    }

    pub(crate) fn delete(&self, url: impl IntoUrl) -> Call {
        self.request(Method::DELETE, url)
    }
}

impl Call {
    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }

    pub(crate) fn bearer_auth(self, key: impl Display) -> Self {
        Self(self.0.bearer_auth(key))
    }

    pub(crate) fn header<V>(self, name: &str, value: V) -> Self
    where
        HeaderValue: TryFrom<V, Error: Into<http::Error>>,
    {
        Self(self.0.header(name, value))
    }

    pub(crate) fn body(self, body: impl Into<Body>) -> Self {
        Self(self.0.body(body))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub(crate) fn try_clone(&self) -> Option<Self> {
        self.0.try_clone().map(Self)
    }

    pub(crate) fn url(&self) -> Url {
        self.try_clone().and_then(|call| call.0.build().ok()).expect("a whole call").url().clone()
    }

    /// The answer, which is as the relay's document says. A stream is not waited for.
    pub(crate) async fn send(self) -> reqwest::Result<Response> {
        let (client, request) = self.0.build_split();
        let request = request?;
        let (method, url) = (request.method().clone(), request.url().clone());
        let answer = client.execute(request).await?;
        let contract = Contract::of(&url[..Position::BeforePath]).await;
        let streams = answer.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let (status, headers, at) = (answer.status(), answer.headers().clone(), answer.url().clone());
        if streams {
            contract.check(&method, url.path(), status, &headers, &[]);
            return Ok(answer);
        }
        let body = answer.bytes().await?;
        contract.check(&method, url.path(), status, &headers, &body);
        let mut whole = http::Response::builder().status(status).url(at).body(body).expect("it was one");
        *whole.headers_mut() = headers;
        Ok(whole.into())
    }
}
