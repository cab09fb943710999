//! Many prompts at once: each is answered for itself, and a whole that is none is refused.

use serde_json::{Value, json};

use super::{Relay, pointers, problem, question};

const URL: &str = "/v1/prompts:batch";

async fn batch(relay: &Relay, prompts: &[String]) -> (Vec<Value>, String) {
    let body = format!("{{\"prompts\": [{}]}}", prompts.join(", "));
    let answer = relay.post(URL, body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer.as_object().unwrap().len(), 1);
    (answer["items"].as_array().unwrap().clone(), id)
}

fn asked(more: &Value) -> String {
    question(more).to_string()
}

#[tokio::test]
async fn each_prompt_of_a_batch_is_answered_for_itself() {
    let relay = Relay::start().await;
    let mismatch = json!({"conversation": "t-1", "user": {"externalId": "emea-anna"}});
    let prompts = [
        asked(&json!({"conversation": "t-1", "idempotencyKey": "k-1"})),
        asked(&json!({"prompt": 1, "promt": "x"})),
        r#"{"prompt": "\ud800"}"#.to_owned(),
        asked(&json!({"conversation": "t-1", "idempotencyKey": "k-1", "prompt": "another"})),
        asked(&mismatch),
        asked(&json!({"prompt": "q".repeat(257 * 1024)})),
        "7".to_owned(),
        asked(&json!({"conversation": "t-1", "idempotencyKey": "k-2"})),
    ];
    let (items, id) = batch(&relay, &prompts).await;
    let statuses: Vec<u64> = items.iter().map(|item| item["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 422, 400, 422, 409, 413, 422, 202]);
    let codes: Vec<&str> = items.iter().map(|item| item["problem"]["code"].as_str().unwrap_or("")).collect();
    assert_eq!(
        codes,
        [
            "",
            "invalid_prompt",
            "malformed_json",
            "idempotency_key_reused",
            "conversation_user_mismatch",
            "payload_too_large",
            "invalid_prompt",
            ""
        ]
    );
    assert_eq!(pointers(&items[1]["problem"]), ["/prompt", "/promt"], "as if it had come alone");
    for item in &items {
        assert_eq!(item.as_object().unwrap().len(), 2, "a prompt or a problem: {item}");
        if let Some(problem) = item.get("problem") {
            assert_eq!((&problem["status"], &problem["instance"]), (&item["status"], &json!(format!("urn:uuid:{id}"))));
        }
    }
    let ids = [&items[0], &items[7]].map(|item| item["prompt"]["promptId"].as_str().unwrap().to_owned());
    let mut ends = Vec::new();
    for id in &ids {
        let object: Value = relay.get(&format!("/v1/prompts/{id}?wait=10")).send().await.unwrap().json().await.unwrap();
        assert_eq!(object["phase"], "answered");
        ends.push(object["entry"]["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    }
    assert!(ends.is_sorted(), "in their order: {ends:?}");
    assert_eq!(relay.sim.jobs().len(), 2);

    let (again, _) = batch(&relay, &[prompts[7].clone(), prompts[0].clone()]).await;
    let repeated: Vec<&str> = again.iter().map(|item| item["prompt"]["promptId"].as_str().unwrap()).collect();
    assert_eq!(repeated, [&ids[1], &ids[0]]);
    assert!(again.iter().all(|item| item["status"] == 200 && item["prompt"]["entry"].is_object()), "{again:?}");
    assert_eq!(relay.sim.jobs().len(), 2);
    relay.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_none_is_refused_whole() {
    let relay = Relay::start().await;
    let good = asked(&json!({}));
    for (body, status, code, at) in [
        ("{".to_owned(), 400, "malformed_json", None),
        (format!("{{\"prompts\":[{good},]}}"), 400, "malformed_json", None),
        (format!("[{good}]"), 422, "invalid_batch", Some("")),
        (format!("{{\"prompts\":{good}}}"), 422, "invalid_batch", Some("/prompts")),
        ("{\"prompts\":[]}".to_owned(), 422, "invalid_batch", Some("/prompts")),
        (format!("{{\"prompts\":[{}]}}", vec![good.as_str(); 101].join(",")), 422, "invalid_batch", Some("/prompts")),
        (format!("{{\"prompts\":[{good}],\"wait\":1}}"), 422, "invalid_batch", Some("/wait")),
        (format!("{{\"prompts\":[{good}]}}{}", " ".repeat(4 * 1024 * 1024)), 413, "payload_too_large", None),
    ] {
        let problem = problem(relay.post(URL, body).send().await.unwrap(), status).await;
        assert_eq!(problem["code"], code);
        assert_eq!(problem["errors"][0]["pointer"].as_str(), at, "{problem}");
    }
    let whole = format!("{{\"prompts\":[{good}]}}");
    let waits = relay.post(&format!("{URL}?wait=1"), whole.clone()).send().await.unwrap();
    assert_eq!(pointers(&problem(waits, 422).await), ["/wait"]);
    let keyed = relay.post(URL, whole).header("Idempotency-Key", "k").send().await.unwrap();
    assert_eq!(pointers(&problem(keyed, 422).await), ["/prompts"], "one key would be believed to cover all of them");
    problem(relay.get(URL).send().await.unwrap(), 405).await;
    assert_eq!(relay.sim.requests().len(), 0);
    relay.stop().await;
}
