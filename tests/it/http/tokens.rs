//! Tokens for browsers and agents, and pages of other origins.

use omni_relay::config::Sources;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::sse::Events;
use super::{Relay, problem};
use crate::redis::TestRedis;

const EVENTS: &str = "/v1/conversations/t-1/events";
const APP: &str = "https://app.example.com";

fn set(sources: Sources) -> Sources {
    sources
        .with("callers.acme.key", "acme-key")
        .with("callers.acme.tenant", "acme")
        .with("callers.acme.scopes", "prompts,read,mcp")
        .with("callers.globex.key", "globex-key")
        .with("callers.globex.tenant", "globex")
        .with("callers.operator.key", "operator-key")
        .with("callers.operator.scopes", "read,ops")
        .with("tokens.secrets", "a secret of at least thirty-two bytes")
        .with("http.cors_origins", format!("{APP}/,http://localhost:3000"))
}

async fn answered(relay: &Relay, key: &str, conversation: &str) -> Value {
    let asked = relay.ask_and_wait(&json!({"conversation": conversation})).bearer_auth(key);
    asked.send().await.unwrap().json().await.unwrap()
}

async fn mint(relay: &Relay, key: &str, path: &str, wish: &str) -> String {
    let answer = relay.post(path, wish.to_owned()).bearer_auth(key).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let minted: Value = answer.json().await.unwrap();
    assert!(minted["expiresAt"].as_str().unwrap().ends_with('Z') && minted.as_object().unwrap().len() == 2);
    minted["token"].as_str().unwrap().to_owned()
}

async fn token(relay: &Relay, key: &str) -> String {
    mint(relay, key, "/v1/conversations/t-1/token", "").await
}

#[tokio::test]
async fn a_browser_reads_one_conversation_and_nothing_else() {
    let relay = Relay::with(set).await;
    let own = answered(&relay, "acme-key", "t-1").await;
    answered(&relay, "acme-key", "t-2").await;
    answered(&relay, "globex-key", "t-1").await;
    let token = token(&relay, "acme-key").await;

    let mut events = Events::open(relay.get(&format!("{EVENTS}?token={token}"))).await;
    assert_eq!(events.answer().await.data, own["entry"]);
    let mut by_header = Events::open(relay.get(EVENTS).bearer_auth(&token)).await;
    assert_eq!(by_header.answer().await.data, own["entry"]);
    let omnis = own["conversationId"].as_str().unwrap();
    for path in ["/v1/conversations/t-1/entries", &format!("/v1/conversations/{omnis}/entries")] {
        let answer = relay.get(&format!("{path}?token={token}&limit=3")).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap()["items"][2], own["entry"], "{path}");
    }
    for other in ["t-2", "globex%2Ft-1", "t-3"] {
        let answer = relay.get(&format!("/v1/conversations/{other}/events?token={token}")).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "conversation_not_found", "{other}");
    }
    let prompt = format!("/v1/prompts/{}", own["promptId"].as_str().unwrap());
    problem(relay.get(&prompt).bearer_auth(&token).send().await.unwrap(), 401).await;
    problem(relay.get(&format!("{prompt}?token={token}")).send().await.unwrap(), 401).await;
    let more = relay.post("/v1/conversations/t-1/token", "").bearer_auth(&token).send().await.unwrap();
    problem(more, 401).await;
    relay.stop().await;
}

#[tokio::test]
async fn an_operators_token_for_a_tenants_conversation_is_for_that_one() {
    let relay = Relay::with(set).await;
    let own = answered(&relay, "acme-key", "t-1").await;
    answered(&relay, "globex-key", "t-1").await;
    let token = mint(&relay, "operator-key", "/v1/conversations/acme%2Ft-1/token", "{}").await;
    for name in ["t-1", "acme%2Ft-1"] {
        let mut events = Events::open(relay.get(&format!("/v1/conversations/{name}/events?token={token}"))).await;
        assert_eq!(events.answer().await.data, own["entry"]);
    }
    problem(relay.get(&format!("/v1/conversations/globex%2Ft-1/events?token={token}")).send().await.unwrap(), 404)
        .await;
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let relay = Relay::with(set).await;
    answered(&relay, "acme-key", "t-1").await;
    let token = mint(&relay, "acme-key", "/v1/conversations/t-1/token", r#"{"ttlSeconds": 3}"#).await;
    let mut events = Events::open(relay.get(&format!("{EVENTS}?token={token}"))).await;
    events.answer().await;
    assert_eq!(events.next().await, None);
    for request in [relay.get(&format!("{EVENTS}?token={token}")), relay.get(EVENTS).bearer_auth(&token)] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        let problem = problem(answer, 401).await;
        assert_eq!(problem["code"], "invalid_token");
        assert_eq!(problem["detail"], "the token has expired: ask for a new one");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_token_is_worth_no_more_than_its_caller() {
    let redis = TestRedis::start().await;
    let relay = Relay::on(redis.url(), redis.namespace(), set).await;
    answered(&relay, "acme-key", "t-1").await;
    let token = token(&relay, "acme-key").await;
    let path = format!("{EVENTS}?token={token}");
    Events::open(relay.get(&path)).await.answer().await;
    relay.stop().await;
    let changes: [(&str, &dyn Fn(Sources) -> Sources); 4] = [
        ("another tenant", &|sources| sources.with("callers.acme.tenant", "globex")),
        ("no right to read", &|sources| sources.with("callers.acme.scopes", "prompts")),
        ("other secrets", &|sources| sources.with("tokens.secrets", "another secret of thirty-two bytes or so")),
        ("no secrets", &|sources| sources.with("tokens.secrets", "")),
    ];
    for (what, change) in changes {
        let relay = Relay::on(redis.url(), redis.namespace(), |sources| change(set(sources))).await;
        let answer = relay.get(&path).send().await.unwrap();
        assert_eq!(problem(answer, 401).await["code"], "invalid_token", "{what}");
        relay.stop().await;
    }
    let same = Relay::on(redis.url(), redis.namespace(), set).await;
    Events::open(same.get(&path)).await.answer().await;
    same.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_wish_for_a_token_is_told() {
    let relay = Relay::with(set).await;
    answered(&relay, "acme-key", "t-1").await;
    let ask = |path: &str, wish: &'static str| relay.post(path, wish).bearer_auth("acme-key").send();
    let path = "/v1/conversations/t-1/token";
    assert_eq!(problem(ask(path, "{").await.unwrap(), 400).await["code"], "malformed_json");
    let wrong = problem(ask(path, r#"{"ttlSeconds": 86401}"#).await.unwrap(), 422).await;
    assert_eq!(
        (&wrong["code"], &wrong["errors"][0]["pointer"]),
        (&json!("invalid_token_request"), &json!("/ttlSeconds"))
    );
    problem(ask("/v1/conversations/t-2/token", "").await.unwrap(), 404).await;
    for path in [path, "/v1/users/dana/mcp-token"] {
        let large = relay.post(path, " ".repeat(64 * 1024 + 1)).bearer_auth("acme-key").send().await.unwrap();
        assert_eq!(problem(large, 413).await["code"], "payload_too_large", "{path}");
    }
    problem(ask("/v1/users/dana/mcp-token", r#"{"ttl": 1}"#).await.unwrap(), 422).await;
    problem(ask(&format!("/v1/users/{}/mcp-token", "x".repeat(513)), "").await.unwrap(), 422).await;
    mint(&relay, "acme-key", "/v1/users/dana%2F7/mcp-token", r#"{"ttlSeconds": 86400}"#).await;
    let other = relay.post("/v1/users/dana/mcp-token", "").bearer_auth("globex-key").send().await.unwrap();
    assert_eq!(problem(other, 403).await["code"], "missing_scope");
    relay.stop().await;
}

async fn preflight(relay: &Relay, path: &str, origin: &str) -> Response {
    let request = relay.request(Method::OPTIONS, path).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", "GET");
    request.header("Access-Control-Request-Headers", "authorization").send().await.unwrap()
}

fn allowed(answer: &Response) -> Option<&str> {
    answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap())
}

#[tokio::test]
async fn pages_of_the_origins_that_are_configured_may_call() {
    let relay = Relay::with(set).await;
    answered(&relay, "acme-key", "t-1").await;
    for (origin, may) in
        [(APP, true), ("http://localhost:3000", true), ("https://app.example.com.evil", false), ("null", false)]
    {
        let told = preflight(&relay, EVENTS, origin).await;
        assert_eq!(told.status(), 200);
        assert_eq!(allowed(&told), may.then_some(origin));
        let answer = relay.get("/v1/conversations/t-1/entries").bearer_auth("acme-key").header("Origin", origin);
        assert_eq!(allowed(&answer.send().await.unwrap()), may.then_some(origin), "{origin}");
    }
    let headers = preflight(&relay, EVENTS, APP).await.headers().clone();
    assert!(headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    assert!(headers.get("access-control-allow-credentials").is_none());
    let refused = relay.get(EVENTS).header("Origin", APP).send().await.unwrap();
    assert_eq!(allowed(&refused), Some(APP), "a page reads why it was refused");
    problem(refused, 401).await;
    assert_eq!(allowed(&preflight(&relay, "/webhooks/omni", APP).await), None);
    relay.stop().await;

    let relay = Relay::start().await;
    assert_eq!(allowed(&preflight(&relay, EVENTS, APP).await), None);
    relay.stop().await;
    let relay = Relay::with(|sources| sources.with("http.cors_origins", APP)).await;
    let page = relay.get("/v1/prompts/x").header("Origin", APP).send().await.unwrap();
    assert_eq!(problem(page, 404).await["code"], "prompt_not_found", "without callers its pages are let in too");
    relay.stop().await;
}
