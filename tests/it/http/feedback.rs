//! What users think of answers reaches Omni, once, in their name.

use omni_relay::simulator::{Behaviour, Fault, FaultKind, User};
use reqwest::Response;
use serde_json::{Value, json};

use super::{Relay, pointers, problem, question};

async fn rate(relay: &Relay, object: &Value, body: &Value) -> Response {
    let path = format!("/v1/prompts/{}/feedback", object["promptId"].as_str().unwrap());
    relay.post(&path, body.to_string()).send().await.unwrap()
}

fn good() -> Value {
    json!({"rating": "good"})
}

#[tokio::test]
async fn a_rating_reaches_omni_in_the_name_of_who_asked() {
    let relay = Relay::start().await;
    let answered = relay.answered("t-1").await;
    let bad = json!({"rating": "bad", "comment": "The total is wrong."});
    let answer = rate(&relay, &answered, &bad).await;
    assert_eq!(answer.status(), 204);
    assert!(answer.bytes().await.unwrap().is_empty());
    let sent = relay.sim.requests().pop().unwrap();
    let dana = User::new("demo-dana", "Dana").id;
    assert_eq!(sent.query, Some(format!("userId={dana}")));
    assert_eq!(relay.sim.jobs()[0].feedback, Some(("bad".to_owned(), Some("The total is wrong.".to_owned()))));
    // Once.
    let again = problem(rate(&relay, &answered, &good()).await, 409).await;
    assert_eq!(again["code"], "feedback_refused");
    assert!(!again.to_string().contains("before"), "Omni's own words: {again}");

    // A job that failed has a rating too; one that was given an id says the same.
    relay.sim.next_job(Behaviour::new().failed("E1", "no table"));
    let failed: Value =
        relay.ask_and_wait(&json!({"user": {"userId": dana}})).send().await.unwrap().json().await.unwrap();
    assert_eq!(failed["phase"], "failed");
    assert_eq!(rate(&relay, &failed, &good()).await.status(), 204);
    assert_eq!(relay.sim.jobs()[1].feedback, Some(("good".to_owned(), None)));
    relay.stop().await;
}

#[tokio::test]
async fn nobody_s_job_is_rated_in_nobody_s_name() {
    let relay = Relay::with(|sources| sources.with("omni.run_as_key_owner", "true")).await;
    let body = json!({"prompt": "revenue by region?"}).to_string();
    let answered: Value = relay.post("/v1/prompts?wait=10", body).send().await.unwrap().json().await.unwrap();
    assert_eq!(rate(&relay, &answered, &good()).await.status(), 204);
    assert_eq!(relay.sim.requests().pop().unwrap().query, None);
    relay.stop().await;
}

#[tokio::test]
async fn what_cannot_be_rated_is_told() {
    let relay = Relay::start().await;
    let answered = relay.answered("t-1").await;
    for (body, expected) in [
        (json!({}), vec!["/rating"]),
        (json!({"rating": 5, "comment": ""}), vec!["/comment", "/rating"]),
        (json!({"rating": "good", "comment": "é".repeat(5001), "stars": 1}), vec!["/comment", "/stars"]),
        (json!([]), vec![""]),
    ] {
        let problem = problem(rate(&relay, &answered, &body).await, 422).await;
        assert_eq!((&problem["code"], pointers(&problem)), (&json!("invalid_feedback"), expected));
    }
    let path = format!("/v1/prompts/{}/feedback", answered["promptId"].as_str().unwrap());
    let answer = relay.post(&path, "{").send().await.unwrap();
    assert_eq!(problem(answer, 400).await["code"], "malformed_json");
    let answer = relay.post(&path, json!({"rating": "good", "comment": "x".repeat(70_000)}).to_string());
    assert_eq!(problem(answer.send().await.unwrap(), 413).await["code"], "payload_too_large");
    let answer = relay.post("/v1/prompts/x/feedback", good().to_string()).send().await.unwrap();
    assert_eq!(problem(answer, 404).await["code"], "prompt_not_found");

    relay.sim.next_job(Behaviour::new().held());
    let running: Value = relay.ask(&question(&json!({}))).send().await.unwrap().json().await.unwrap();
    assert_eq!(problem(rate(&relay, &running, &good()).await, 409).await["code"], "not_finished");
    relay.sim.next_job(Behaviour::new().refused(400));
    let refused: Value = relay.ask_and_wait(&json!({})).send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["phase"], "failed");
    assert_eq!(problem(rate(&relay, &refused, &good()).await, 409).await["code"], "no_job");
    assert_eq!(relay.sim.count("POST", "/feedback"), 0);

    relay.sim.fault(Fault::new("POST", "/feedback", FaultKind::Status(500, None)).times(1));
    let answer = rate(&relay, &answered, &good()).await;
    assert_eq!(problem(answer, 502).await["code"], "omni_unavailable");
    assert_eq!(rate(&relay, &answered, &good()).await.status(), 204);
    relay.lifecycle.request_stop();
}

#[tokio::test]
async fn a_rating_is_for_the_prompt_s_own_tenant_and_takes_the_scope() {
    let relay = Relay::with(|sources| {
        sources
            .with("callers.acme.key", "acme-key")
            .with("callers.acme.tenant", "acme")
            .with("callers.reader.key", "reader-key")
            .with("callers.reader.tenant", "acme")
            .with("callers.reader.scopes", "read")
            .with("callers.umbra.key", "umbra-key")
            .with("callers.umbra.tenant", "umbra")
    })
    .await;
    let answer = relay.ask_and_wait(&json!({})).bearer_auth("acme-key").send().await.unwrap();
    let answered: Value = answer.json().await.unwrap();
    let path = format!("/v1/prompts/{}/feedback", answered["promptId"].as_str().unwrap());
    let as_caller = async |key: &str| relay.post(&path, good().to_string()).bearer_auth(key).send().await.unwrap();
    assert_eq!(problem(as_caller("umbra-key").await, 404).await["code"], "prompt_not_found");
    assert_eq!(problem(as_caller("reader-key").await, 403).await["code"], "missing_scope");
    assert_eq!(relay.sim.count("POST", "/feedback"), 0);
    assert_eq!(as_caller("acme-key").await.status(), 204);
    relay.stop().await;
}
