//! Failures are problem documents wherever they come from, and probes answer.

use omni_relay::runtime::metrics::METRICS;
use serde_json::{Value, json};

use super::{Relay, problem, question};

#[tokio::test]
async fn every_failure_is_a_problem() {
    let relay = Relay::start().await;
    for (path, code) in [("/", "not_found"), ("/v2/prompts", "not_found"), ("/v1/prompts/", "not_found")] {
        assert_eq!(problem(relay.get(path).send().await.unwrap(), 404).await["code"], code, "{path}");
    }
    let wrong_method = relay.get("/webhooks/omni").send().await.unwrap();
    assert_eq!(wrong_method.headers()["allow"], "POST");
    assert_eq!(problem(wrong_method, 405).await["code"], "method_not_allowed");
    let wrong_path = relay.get("/v1/prompts/%ff").send().await.unwrap();
    assert_eq!(problem(wrong_path, 400).await["code"], "bad_request");
    let large = relay.post("/webhooks/omni", vec![b' '; 2 * 1024 * 1024]).send().await.unwrap();
    assert_eq!(problem(large, 401).await["code"], "unauthorized", "its size does not matter: nobody signed it");
    relay.stop().await;
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let relay = Relay::start().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = relay.ask(&question(&json!({}))).header("X-Request-Id", "the caller's").send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        ids.push(answer.headers()["x-request-id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| uuid::Uuid::parse_str(id.to_str().unwrap()).is_ok()), "{ids:?}");
    relay.stop().await;
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let relay = Relay::start().await;
    assert_eq!(relay.get("/livez").send().await.unwrap().status(), 200);
    let report = super::eventually("the relay is ready", || async {
        let answer = relay.get("/readyz").send().await.unwrap();
        (answer.status() == 200).then_some(answer)
    })
    .await;
    assert_eq!(report.json::<Value>().await.unwrap()["ready"], true);
    relay.answered("t-1").await;
    let metrics = relay.get("/metrics").send().await.unwrap();
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4");
    let text = metrics.text().await.unwrap();
    let exported = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let unknown: Vec<&str> = exported.filter(|name| !METRICS.iter().any(|metric| metric.name == *name)).collect();
    assert_eq!(unknown, Vec::<&str>::new(), "not in the table");
    assert!(text.contains("omni_relay_prompts_accepted_total{via=\"http\"}"), "{text}");
    relay.stop().await;
}
