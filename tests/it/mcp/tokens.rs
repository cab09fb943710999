//! Agents that show a token for one user instead of their caller's key.

use std::time::Duration;

use omni_relay::simulator::User;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bed, Events, initialize, list};
use crate::contract::Call;
use crate::http::problem;
use crate::world::{MODEL, Setting};

const ORIGIN: &str = "https://agents.example.com";

async fn bed() -> Bed {
    Bed::with(Setting::default(), |sources| {
        sources
            .with("tokens.secrets", "a secret of sixteen bytes and more")
            .with("http.cors_origins", ORIGIN)
            .with("callers.reader.key", "reader-key")
    })
    .await
}

async fn minted(bed: &Bed, key: &str, path: &str, wish: &Value) -> String {
    let request = bed.world.http.post(format!("{}/v1/{path}", bed.world.url)).bearer_auth(key).json(wish);
    let minted: Value = request.send().await.unwrap().json().await.unwrap();
    crate::world::text(&minted, "token")
}

async fn token(bed: &Bed, key: &str, user: &str) -> String {
    minted(bed, key, &format!("users/{user}/mcp-token"), &json!({})).await
}

fn with(bed: &Bed, token: &str) -> Call {
    bed.bare(Method::POST).bearer_auth(token).json(&list())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_acts_for_its_user_as_its_caller_would() {
    let bed = bed().await;
    let dana = token(&bed, "agents-key", "dana").await;
    let opened = bed.bare(Method::POST).bearer_auth(&dana).json(&initialize()).send().await.unwrap();
    assert_eq!(opened.status(), 200);
    let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    assert_eq!(bed.omni.seen()[0].headers["x-mcp-user-id"], User::new("dana", "").id.to_string());
    assert!(bed.omni.seen()[0].headers["authorization"] == "Bearer omni_osk_test", "the token stays here");

    let anna = token(&bed, "agents-key", "emea-anna").await;
    let others = token(&bed, "others-key", "dana").await;
    let before = bed.arrived();
    for token in [&anna, &others] {
        let answer = with(&bed, token).header("Mcp-Session-Id", &session).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "session_not_found");
    }
    let answer = with(&bed, &dana).header("X-Relay-User", "emea-anna").send().await.unwrap();
    assert_eq!(problem(answer, 422).await["errors"][0]["pointer"], "/X-Relay-User");
    assert_eq!(bed.arrived(), before);

    bed.omni.answers(|_| axum::Json(json!({})));
    let again = with(&bed, &dana).header("X-Relay-User", "dana").header("Mcp-Session-Id", &session);
    let by_key = bed.in_session(&session, &list());
    for request in [again, by_key] {
        assert_eq!(request.send().await.unwrap().status(), 200, "it is the same agent");
    }
    let bound = token(&bed, "bound-key", "dana").await;
    assert_eq!(with(&bed, &bound).send().await.unwrap().status(), 200);
    assert_eq!(bed.omni.seen().pop().unwrap().headers["x-mcp-model-id"], MODEL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_what_it_was_made_for() {
    let bed = bed().await;
    let dana = token(&bed, "agents-key", "dana").await;
    let wrong = dana.replace(&dana[dana.len() - 4..], "AAAA");
    assert_eq!(problem(with(&bed, &wrong).send().await.unwrap(), 401).await["code"], "unauthorized");
    for path in ["conversations/t-1/events", "prompts/x"] {
        let read = bed.world.http.get(format!("{}/v1/{path}", bed.world.url)).bearer_auth(&dana);
        assert_eq!(read.send().await.unwrap().status(), 401, "{path}");
    }
    let read = bed.world.get(&format!("/v1/conversations/t-1/events?token={dana}")).await;
    assert_eq!(read.status(), 401);
    bed.world.clock.shift(Duration::from_secs(601));
    let late = problem(with(&bed, &dana).send().await.unwrap(), 401).await;
    assert_eq!(late["code"], "invalid_token");
    assert_eq!(bed.arrived(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listened_to_ends_with_its_token() {
    let bed = bed().await;
    let session = bed.session().await;
    let short = minted(&bed, "agents-key", "users/dana/mcp-token", &json!({"ttlSeconds": 1})).await;
    let listening = bed.bare(Method::GET).bearer_auth(short).header("Mcp-Session-Id", &session);
    assert_eq!(Events::of(listening.send().await.unwrap()).next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_known_origins_may_act() {
    let bed = bed().await;
    let asks = |origin: &'static str| {
        let asks = bed.world.http.request(Method::OPTIONS, bed.url()).header("Origin", origin);
        let asks = asks.header("Access-Control-Request-Method", "POST");
        asks.header("Access-Control-Request-Headers", "authorization,mcp-of-tomorrow,x-mcp-model-id").send()
    };
    let allowed = asks(ORIGIN).await.unwrap();
    assert_eq!(allowed.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(allowed.headers()["access-control-allow-headers"], "authorization,mcp-of-tomorrow,x-mcp-model-id");
    let other = asks("https://evil.example.com").await.unwrap();
    assert_eq!(other.headers().get("access-control-allow-origin"), None);
    let answer = bed.post(&initialize()).header("Origin", ORIGIN).send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN);
    let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("mcp-session-id"), "{exposed}");
}
