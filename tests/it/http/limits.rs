//! Callers that may name some models and topics and no others.

use omni_relay::simulator::Behaviour;
use serde_json::{Value, json};

use super::{MODEL, Relay, pointers, problem, question};

const FIRST: &str = "aaaaaaaa-1111-4111-8111-111111111111";
const SECOND: &str = "aaaaaaaa-2222-4222-8222-222222222222";

/// The model and topic that a prompt is asked with.
async fn asked_with(relay: &Relay, object: &Value) -> (Value, Value) {
    let mut get = redis::cmd("HGET");
    get.arg(format!("{{{}}}:prompt:{}", relay.namespace, object["promptId"].as_str().unwrap())).arg("request");
    let request: String = get.query_async(&mut relay.redis().await).await.unwrap();
    let mut request: Value = serde_json::from_str(&request).unwrap();
    (request["modelId"].take(), request["topicName"].take())
}

#[tokio::test]
async fn a_caller_with_lists_is_kept_to_them() {
    let relay = Relay::with(|sources| {
        sources
            .with("callers.bound.key", "bound-key")
            .with("callers.bound.models", format!("{FIRST},{SECOND}"))
            .with("callers.bound.topics", "orders,order items")
            .with("callers.free.key", "free-key")
    })
    .await;
    relay.sim.set_default(Behaviour::new().never());
    let ask = |key, more: Value| relay.ask(&question(&more)).bearer_auth(key).send();
    for (key, named, with) in [
        ("bound-key", json!({}), json!([FIRST, "orders"])),
        ("bound-key", json!({"modelId": SECOND, "topicName": "order items"}), json!([SECOND, "order items"])),
        ("free-key", json!({}), json!([MODEL, null])),
        ("free-key", json!({"modelId": SECOND, "topicName": "staff"}), json!([SECOND, "staff"])),
    ] {
        let answer = ask(key, named).await.unwrap();
        assert_eq!(answer.status(), 202);
        let (model, topic) = asked_with(&relay, &answer.json().await.unwrap()).await;
        assert_eq!(json!([model, topic]), with);
    }
    let outside = json!({"modelId": MODEL, "topicName": "staff"});
    let refused = problem(ask("bound-key", outside.clone()).await.unwrap(), 422).await;
    assert_eq!(pointers(&refused), ["/modelId", "/topicName"]);
    assert!(refused["errors"].to_string().contains(SECOND), "{refused}");
    let batch = json!({"prompts": [question(&outside), question(&json!({}))]}).to_string();
    let batch = relay.post("/v1/prompts:batch", batch).bearer_auth("bound-key").send().await.unwrap();
    let batch: Value = batch.json().await.unwrap();
    assert_eq!(pointers(&batch["items"][0]["problem"]), ["/modelId", "/topicName"]);
    let (model, topic) = asked_with(&relay, &batch["items"][1]["prompt"]).await;
    assert_eq!(json!([model, topic]), json!([FIRST, "orders"]));
    relay.stop().await;
}
