//! What we send, held against the contract.

use axum::Json;
use axum::http::{StatusCode, header};
use omni_relay::model::{Feedback, JobState};
use omni_relay::omni::{CreateJob, Created, WebhookRequest};
use secrecy::SecretString;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use super::{CONVERSATION, JOB, MODEL, Stub, TOKEN, USER, created, feedback, job, key};

#[tokio::test]
async fn the_smallest_create_sends_what_is_set_and_nothing_else() {
    let stub = Stub::answering(|_| created()).await;
    let answer = stub.omni().create(&key(), &job()).await.unwrap();
    let chat = format!("https://acme.omni.co/chat/{CONVERSATION}");
    assert_eq!(answer, Created { job_id: JOB, conversation_id: CONVERSATION, omni_chat_url: Some(chat) });

    let seen = stub.only();
    seen.keeps_to_the_contract();
    assert_eq!(seen.json(), json!({"modelId": MODEL, "prompt": job().prompt}));
    assert!(seen.query.is_empty());
    assert_eq!(seen.headers[header::AUTHORIZATION], format!("Bearer {TOKEN}"));
    assert_eq!(seen.headers[header::CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn the_largest_create_sends_it_all() {
    let stub = Stub::answering(|_| created()).await;
    let metadata: Map<String, Value> = [("promptId".to_owned(), json!("p-1"))].into_iter().collect();
    let secret = SecretString::from("whsec");
    let files = to_raw_value(&json!([{"data": "YWNtZQ==", "mimeType": "image/png", "name": "acme.png"}])).unwrap();
    let job = CreateJob {
        conversation_id: Some(CONVERSATION),
        branch_id: Some(USER),
        topic_name: Some("order_items"),
        attachments: Some(&files),
        user_id: Some(USER),
        webhook: Some(WebhookRequest {
            url: "https://relay.example.com/webhooks/omni",
            secret: &secret,
            metadata: &metadata,
        }),
        progress: true,
        ..job()
    };
    assert!(!["revenue", "acme", "YWNt"].iter().any(|secret| format!("{job:?}").contains(secret)));
    stub.omni().create(&key(), &job).await.unwrap();

    let seen = stub.only();
    seen.keeps_to_the_contract();
    assert_eq!(
        seen.json(),
        json!({
            "modelId": MODEL,
            "prompt": job.prompt,
            "conversationId": CONVERSATION,
            "branchId": USER,
            "topicName": "order_items",
            "attachments": [{"data": "YWNtZQ==", "mimeType": "image/png", "name": "acme.png"}],
            "webhookUrl": "https://relay.example.com/webhooks/omni",
            "webhookSigningSecret": "whsec",
            "webhookMetadata": {"promptId": "p-1"},
            "progressWebhookEnabled": true,
        })
    );
    assert_eq!(seen.query, [("userId".to_owned(), USER.to_string())]);
}

#[tokio::test]
async fn progress_is_not_asked_for_without_a_webhook() {
    let stub = Stub::answering(|_| created()).await;
    stub.omni().create(&key(), &CreateJob { progress: true, ..job() }).await.unwrap();
    assert_eq!(stub.only().json(), json!({"modelId": MODEL, "prompt": job().prompt}));
}

#[tokio::test]
async fn reads_and_cancel_carry_no_body_and_no_query() {
    let stub = Stub::answering(|_| Json(json!({"state": "EXECUTING"}))).await;
    let omni = stub.omni();
    omni.status(&key(), JOB).await.unwrap();
    omni.result(&key(), JOB).await.unwrap();
    omni.chart(&key(), JOB).await.unwrap_err();
    assert_eq!(omni.cancel(&key(), JOB).await.unwrap(), JobState::Executing);

    let seen = stub.seen();
    let calls: Vec<_> = seen.iter().map(|seen| (seen.method.as_str(), seen.path.as_str())).collect();
    let path = format!("/api/v1/ai/jobs/{JOB}");
    let below = ["result", "vis", "cancel"].map(|name| format!("{path}/{name}"));
    assert_eq!(calls, [("GET", path.as_str()), ("GET", &below[0]), ("GET", &below[1]), ("POST", &below[2])]);
    for seen in seen {
        seen.keeps_to_the_contract();
        assert!(seen.body.is_empty() && seen.query.is_empty());
        assert_eq!(seen.headers[header::AUTHORIZATION], format!("Bearer {TOKEN}"));
    }
}

/// In neither published document; as the page about it says.
#[tokio::test]
async fn feedback_is_sent_in_the_name_of_the_job_s_user() {
    let stub = Stub::answering(|_| StatusCode::NO_CONTENT).await;
    stub.omni().feedback(&key(), JOB, Some(USER), &feedback()).await.unwrap();
    let seen = stub.only();
    assert_eq!((seen.method.as_str(), seen.path), ("POST", format!("/api/v1/ai/jobs/{JOB}/feedback")));
    assert_eq!(seen.query, [("userId".to_owned(), USER.to_string())]);
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(body, json!({"rating": "bad", "comment": "revenue of ACME is wrong"}));

    let stub = Stub::answering(|_| Json(json!({"any": "thing"}))).await;
    let good = Feedback::parse(br#"{"rating": "good"}"#).unwrap();
    stub.omni().feedback(&key(), JOB, None, &good).await.unwrap();
    let seen = stub.only();
    assert!(seen.query.is_empty());
    assert_eq!(seen.json(), json!({"rating": "good"}));
}
