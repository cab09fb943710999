//! Who may call, and whose prompts and conversations they reach.

use omni_relay::config::Sources;
use serde_json::{Value, json};

use super::{Relay, problem, question};
use crate::contract::Call;
use crate::redis::TestRedis;

async fn relay() -> Relay {
    Relay::with(|sources| {
        sources
            .with("callers.acme.key", "acme-key")
            .with("callers.acme.tenant", "acme")
            .with("callers.globex.key", "globex-key")
            .with("callers.globex.tenant", "globex")
            .with("callers.reader.key", "reader-key")
            .with("callers.reader.tenant", "acme")
            .with("callers.reader.scopes", "read")
            .with("callers.writer.key", "writer-key")
            .with("callers.writer.tenant", "acme")
            .with("callers.writer.scopes", "prompts")
            .with("callers.operator.key", "operator-key")
            .with("callers.operator.scopes", "read,ops")
            .with("callers.plain.key", "plain-key")
            .with("tokens.secrets", "a secret of at least thirty-two bytes")
    })
    .await
}

/// One request to each route that asks for a key, in a form that is right otherwise.
fn every_call(relay: &Relay) -> [(&'static str, Call); 8] {
    [
        ("prompts", relay.ask(&question(&json!({})))),
        ("prompts", relay.post("/v1/prompts:batch", json!({"prompts": [question(&json!({}))]}).to_string())),
        ("prompts", relay.post("/v1/prompts/22222222-2222-4222-8222-222222222222/cancel", "")),
        ("read", relay.get("/v1/prompts/22222222-2222-4222-8222-222222222222")),
        ("read", relay.get("/v1/prompts/22222222-2222-4222-8222-222222222222/result")),
        ("read", relay.get("/v1/conversations/t-1/events")),
        ("read", relay.get("/v1/conversations/t-1/entries")),
        ("read", relay.post("/v1/conversations/t-1/token", "")),
    ]
}

async fn status(request: Call) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn without_a_known_key_nobody_is_let_in() {
    let relay = relay().await;
    for credentials in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic acme-key"), Some("acme-key")] {
        for (_, request) in every_call(&relay) {
            let request = match credentials {
                Some(credentials) => request.header("Authorization", credentials),
                None => request,
            };
            let answer = request.send().await.unwrap();
            assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{credentials:?}");
            assert_eq!(problem(answer, 401).await["code"], "unauthorized");
        }
    }
    let twice = relay.get("/v1/prompts/x").bearer_auth("wrong").header("Authorization", "Bearer acme-key");
    problem(twice.send().await.unwrap(), 401).await;
    assert_eq!(relay.sim.requests().len(), 0);
    relay.stop().await;
}

#[tokio::test]
async fn who_guesses_keys_is_held_off_and_who_was_there_before_is_not() {
    let relay = relay().await;
    let show = |key: &'static str| relay.get("/v1/prompts/x").bearer_auth(key).send();
    assert_eq!(show("acme-key").await.unwrap().status(), 404);
    for _ in 0..20 {
        problem(show("wrong").await.unwrap(), 401).await;
    }
    for key in ["wrong", "globex-key"] {
        let answer = show(key).await.unwrap();
        let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(answer.headers().get("www-authenticate"), None);
        assert_eq!(problem(answer, 429).await["code"], "too_many_attempts", "{key}");
    }
    assert_eq!(show("acme-key").await.unwrap().status(), 404, "its key was right from here before");
    problem(relay.get("/v1/prompts/x").send().await.unwrap(), 401).await;
    assert_eq!(relay.get("/livez").send().await.unwrap().status(), 200);
    for (key, status) in [("wrong", 401), ("globex-key", 404)] {
        problem(relay.get_from([127, 0, 0, 2], "/v1/prompts/x", key).await, status).await;
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_key_is_rotated_without_a_gap() {
    let redis = TestRedis::start().await;
    let mut asked = Vec::new();
    // What the configuration says, which key the caller uses, and which one does not open any more, or not yet.
    for (keys, used, closed) in [
        ("old-key", "old-key", Some("new-key")),
        ("new-key,old-key", "old-key", None),
        ("new-key,old-key", "new-key", None),
        ("new-key", "new-key", Some("old-key")),
    ] {
        let set = |sources: Sources| sources.with("callers.acme.key", keys).with("callers.acme.tenant", "acme");
        let relay = Relay::on(redis.url(), redis.namespace(), set).await;
        let asking = relay.ask_and_wait(&json!({"conversation": "t-1"})).bearer_auth(used).send().await.unwrap();
        assert_eq!(asking.status(), 200, "{keys} {used}");
        let object: Value = asking.json().await.unwrap();
        asked.push(format!("/v1/prompts/{}", object["promptId"].as_str().unwrap()));
        for path in &asked {
            assert_eq!(status(relay.get(path).bearer_auth(used)).await, 200, "{keys} {used}");
            if let Some(closed) = closed {
                assert_eq!(status(relay.get(path).bearer_auth(closed)).await, 401, "{keys} {closed}");
            }
        }
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_say() {
    let relay = relay().await;
    for (scope, request) in every_call(&relay) {
        let (fits, lacks) = if scope == "read" { ("reader-key", "writer-key") } else { ("writer-key", "reader-key") };
        let answer = request.try_clone().unwrap().bearer_auth(lacks).send().await.unwrap();
        assert_eq!(problem(answer, 403).await["code"], "missing_scope");
        let path = request.url().path().to_owned();
        let found = status(request.bearer_auth(fits)).await;
        let expected = match path.as_str() {
            "/v1/prompts" => 202,
            "/v1/prompts:batch" => 200,
            _ => 404,
        };
        assert_eq!(found, expected, "{path}");
    }
    let lower = relay.get("/v1/prompts/x").header("Authorization", "bearer acme-key");
    assert_eq!(status(lower).await, 404, "schemes have no case");
    relay.stop().await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let relay = relay().await;
    let body = json!({"conversation": "t-1"});
    let asked = relay.ask_and_wait(&body).bearer_auth("acme-key").send().await.unwrap();
    let object: Value = asked.json().await.unwrap();
    assert_eq!(object["conversation"], "t-1");
    assert_eq!(object["stream"], format!("{}:conversation:{{acme/t-1}}", relay.namespace));
    assert_eq!(object["eventsUrl"], "/v1/conversations/t-1/events");
    let prompt = format!("/v1/prompts/{}", object["promptId"].as_str().unwrap());
    let omnis = object["conversationId"].as_str().unwrap();
    for key in ["globex-key", "plain-key"] {
        let answer = relay.get(&prompt).bearer_auth(key).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "prompt_not_found");
        let answer = relay.get(&format!("{prompt}/result")).bearer_auth(key).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "prompt_not_found");
        for name in ["t-1", "acme%2Ft-1", omnis] {
            for what in ["events", "entries"] {
                let path = format!("/v1/conversations/{name}/{what}");
                let answer = relay.get(&path).bearer_auth(key).send().await.unwrap();
                assert_eq!(problem(answer, 404).await["code"], "conversation_not_found", "{path}");
            }
        }
    }
    let other = question(&json!({"conversationId": omnis}));
    let answer = relay.ask(&other).bearer_auth("globex-key").send().await.unwrap();
    assert_eq!(problem(answer, 404).await["code"], "conversation_not_found");
    let own = relay.ask_and_wait(&body).bearer_auth("globex-key").send().await.unwrap();
    let own: Value = own.json().await.unwrap();
    assert_ne!(own["conversationId"], object["conversationId"], "the same name is another conversation");
    relay.stop().await;
}

#[tokio::test]
async fn an_operator_sees_every_tenant() {
    let relay = relay().await;
    let asked = relay.ask_and_wait(&json!({"conversation": "t-1"})).bearer_auth("acme-key").send().await.unwrap();
    let object: Value = asked.json().await.unwrap();
    let path = format!("/v1/prompts/{}", object["promptId"].as_str().unwrap());
    let seen: Value = relay.get(&path).bearer_auth("operator-key").send().await.unwrap().json().await.unwrap();
    assert_eq!(seen["entry"], object["entry"]);
    let events = seen["eventsUrl"].as_str().unwrap();
    assert_eq!(events, "/v1/conversations/acme%2Ft-1/events");
    assert_eq!(status(relay.get(events).bearer_auth("operator-key")).await, 200);
    let omnis = format!("/v1/conversations/{}/events", seen["conversationId"].as_str().unwrap());
    assert_eq!(status(relay.get(&omnis).bearer_auth("operator-key")).await, 200);
    assert_eq!(status(relay.get("/v1/conversations/t-1/events").bearer_auth("operator-key")).await, 404);
    relay.stop().await;
}

#[tokio::test]
async fn without_callers_everybody_is_the_operator_but_for_pages_of_other_sites() {
    let relay = Relay::start().await;
    for (_, request) in every_call(&relay) {
        let evil = request.try_clone().unwrap().header("Origin", "https://evil.example.com").send().await.unwrap();
        assert_eq!(problem(evil, 403).await["code"], "cross_site");
        let opaque = request.try_clone().unwrap().header("Origin", "null").send().await.unwrap();
        problem(opaque, 403).await;
        assert_ne!(status(request.try_clone().unwrap().header("Authorization", "Bearer whatever")).await, 403);
        let own = relay.get("").url().origin().ascii_serialization();
        assert_ne!(status(request.try_clone().unwrap().header("Origin", own)).await, 403);
        // Another site's name that was made to lead here: the page is then of the same origin.
        let named = |host: &str| request.try_clone().unwrap().header("Host", host);
        let led = "evil.example.com:8080";
        assert_eq!(problem(named(led).send().await.unwrap(), 403).await["code"], "cross_site");
        problem(named(led).header("Origin", format!("http://{led}")).send().await.unwrap(), 403).await;
        problem(named("localhost.example.com").send().await.unwrap(), 403).await;
        for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "relay.LOCALHOST"] {
            assert_ne!(status(named(host)).await, 403, "{host}");
        }
    }
    relay.stop().await;
}
