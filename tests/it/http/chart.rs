//! Charts are fetched once, when somebody asks, and kept.

use std::time::Duration;

use omni_relay::simulator::{Behaviour, Fault, FaultKind};
use redis::AsyncCommands;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Relay, problem, question};
use crate::redis::TestRedis;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

async fn with_charts() -> Relay {
    Relay::with(|sources| sources.with("results.charts", "true")).await
}

fn path(object: &Value) -> String {
    format!("/v1/prompts/{}/chart.png", object["promptId"].as_str().unwrap())
}

async fn chart(relay: &Relay, object: &Value) -> Response {
    relay.get(&path(object)).send().await.unwrap()
}

/// Status, code, detail of a problem.
async fn refused(relay: &Relay, object: &Value) -> (u16, String, String) {
    let answer = chart(relay, object).await;
    let status = answer.status().as_u16();
    let problem = problem(answer, status).await;
    let text = |name: &str| problem[name].as_str().unwrap().to_owned();
    (status, text("code"), text("detail"))
}

fn none(detail: &str) -> (u16, String, String) {
    (404, "chart_not_found".to_owned(), detail.to_owned())
}

/// The key of a chart, and how long it lives.
async fn kept(relay: &Relay, object: &Value) -> (Option<Vec<u8>>, i64) {
    let key = format!("{}:chart:{}", object["stream"].as_str().unwrap(), object["promptId"].as_str().unwrap());
    let mut redis = relay.redis().await;
    (redis.get(&key).await.unwrap(), redis.pttl(&key).await.unwrap())
}

#[tokio::test]
async fn a_chart_is_fetched_once_for_all_who_ask_and_kept() {
    let relay = with_charts().await;
    let answered = relay.answered("t-1").await;
    assert_eq!(kept(&relay, &answered).await.0, None, "nobody has asked yet");
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        asking.spawn(relay.get(&path(&answered)).send());
    }
    for answer in asking.join_all().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((header("content-type"), header("x-content-type-options")), ("image/png".into(), "nosniff".into()));
        assert!(answer.bytes().await.unwrap().starts_with(PNG));
    }
    assert_eq!(relay.sim.count("GET", "/vis"), 1);
    let (image, life) = kept(&relay, &answered).await;
    assert!(image.unwrap().starts_with(PNG));
    let retention = 14 * 24 * 3600 * 1000;
    assert!((retention - 60_000..=retention).contains(&life), "{life}");
    // Omni is not needed any more.
    relay.sim.fault(Fault::new("GET", "/vis", FaultKind::Status(500, None)).times(5));
    assert_eq!(chart(&relay, &answered).await.status(), 200);
    relay.stop().await;
}

#[tokio::test]
async fn why_there_is_none_is_told_and_not_asked_again() {
    let relay = with_charts().await;
    relay.sim.next_job(Behaviour::new().no_chart());
    let plain = relay.answered("t-1").await;
    for _ in 0..3 {
        assert_eq!(refused(&relay, &plain).await, none("Omni has nothing to draw for this answer"));
    }
    assert_eq!(relay.sim.count("GET", "/vis"), 1);
    let (mark, life) = kept(&relay, &plain).await;
    assert!(mark.unwrap() == b"-" && life > 3_600_000, "{life}");

    // A 404 may only be early: it is asked again after a while.
    let early = relay.answered("t-2").await;
    relay.sim.fault(Fault::new("GET", "/vis", FaultKind::Status(404, None)).times(1));
    for _ in 0..2 {
        assert_eq!(refused(&relay, &early).await, none("Omni has nothing to draw for this answer"));
    }
    let (mark, life) = kept(&relay, &early).await;
    assert!(mark.unwrap() == b"-" && (1..=60_000).contains(&life), "{life}");
    assert_eq!(relay.sim.count("GET", "/vis"), 2);

    relay.sim.next_job(Behaviour::new().failed("E1", "no table"));
    let failed = relay.answered("t-3").await;
    assert_eq!(refused(&relay, &failed).await, none("the prompt ended without an answer"));
    relay.sim.next_job(Behaviour::new().held());
    let running: Value = relay.ask(&question(&json!({}))).send().await.unwrap().json().await.unwrap();
    assert_eq!(refused(&relay, &running).await, none("there is no answer yet"));
    assert_eq!(relay.sim.count("GET", "/vis"), 2);
    relay.lifecycle.request_stop();

    let without = Relay::on(&relay.redis_url, &relay.namespace, |sources| sources).await;
    assert_eq!(refused(&without, &plain).await, none("charts are off: results.charts is false"));
    let unknown = without.get("/v1/prompts/x/chart.png").send().await.unwrap();
    assert_eq!(problem(unknown, 404).await["code"], "prompt_not_found");
    without.lifecycle.request_stop();
}

#[tokio::test]
async fn omni_s_troubles_are_told_in_our_words_and_remembered_nowhere() {
    let relay = with_charts().await;
    let answered = relay.answered("t-1").await;
    for (kind, later) in [
        (FaultKind::Status(503, Some(7)), Some("7")),
        (FaultKind::DropBeforeReply(false), None),
        (FaultKind::Status(403, None), None),
        (FaultKind::Status(302, None), None),
    ] {
        relay.sim.fault(Fault::new("GET", "/vis", kind));
        let answer = chart(&relay, &answered).await;
        let told = answer.headers().get("retry-after").map(|seconds| seconds.to_str().unwrap());
        assert_eq!(told, later, "{kind:?}");
        let problem = problem(answer, 502).await;
        assert_eq!(problem["code"], "omni_unavailable", "{kind:?}");
        assert!(!problem.to_string().contains("Simulated"), "{problem}");
    }
    assert_eq!(kept(&relay, &answered).await.0, None);
    assert_eq!(chart(&relay, &answered).await.status(), 200);
    relay.stop().await;
}

#[tokio::test]
async fn a_chart_waits_for_the_budget_and_holds_nobody_up() {
    let redis = TestRedis::start().await;
    let relay = Relay::on(redis.url(), redis.namespace(), |sources| sources).await;
    let answered = relay.answered("t-1").await;
    // The same key, as granted to one who may do less: what the answer took has used it up.
    let poor = Relay::on(redis.url(), redis.namespace(), |sources| {
        sources.with("results.charts", "true").with("omni.requests_per_minute", "1")
    })
    .await;
    let answer = chart(&poor, &answered).await;
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=62).contains(&seconds), "{seconds}");
    let problem = problem(answer, 429).await;
    assert_eq!((&problem["code"], poor.sim.count("GET", "/vis")), (&json!("budget"), 0));
    for relay in [relay, poor] {
        relay.lifecycle.request_stop();
    }
}

#[tokio::test]
async fn a_throttled_chart_closes_its_key_as_anything_does() {
    let relay = with_charts().await;
    let answered = relay.answered("t-1").await;
    relay.sim.fault(Fault::new("GET", "/vis", FaultKind::Status(429, Some(30))).times(1));
    for _ in 0..2 {
        let answer = chart(&relay, &answered).await;
        let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((29..=31).contains(&seconds), "{seconds}");
        assert_eq!(problem(answer, 429).await["code"], "budget");
    }
    assert_eq!(relay.sim.count("GET", "/vis"), 1);
    relay.lifecycle.request_stop();
}

#[tokio::test]
async fn charts_are_for_those_who_may_read_the_prompt() {
    let relay = Relay::with(|sources| {
        sources
            .with("results.charts", "true")
            .with("callers.acme.key", "acme-key")
            .with("callers.acme.tenant", "acme")
            .with("callers.writer.key", "writer-key")
            .with("callers.writer.tenant", "acme")
            .with("callers.writer.scopes", "prompts")
            .with("callers.umbra.key", "umbra-key")
            .with("callers.umbra.tenant", "umbra")
    })
    .await;
    let answer = relay.ask_and_wait(&json!({})).bearer_auth("acme-key").send().await.unwrap();
    let answered: Value = answer.json().await.unwrap();
    let as_caller = async |key: &str| relay.get(&path(&answered)).bearer_auth(key).send().await.unwrap();
    assert_eq!(problem(as_caller("umbra-key").await, 404).await["code"], "prompt_not_found");
    assert_eq!(problem(as_caller("writer-key").await, 403).await["code"], "missing_scope");
    assert_eq!(relay.sim.count("GET", "/vis"), 0);
    assert_eq!(as_caller("acme-key").await.status(), 200);
    relay.stop().await;
}

/// Whoever hangs up while Omni draws does not keep the next one from asking.
#[tokio::test]
async fn somebody_who_does_not_wait_leaves_the_way_free() {
    let relay = with_charts().await;
    let answered = relay.answered("t-1").await;
    relay.sim.fault(Fault::new("GET", "/vis", FaultKind::Hang).times(1));
    let hasty = relay.get(&path(&answered)).timeout(Duration::from_millis(300)).send().await;
    assert!(hasty.unwrap_err().is_timeout());
    assert_eq!(chart(&relay, &answered).await.status(), 200);
    relay.lifecycle.request_stop();
}
