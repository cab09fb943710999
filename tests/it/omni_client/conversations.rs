//! How conversations are listed and read, in both spellings.

use axum::Json;
use omni_relay::omni::OmniError;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CONVERSATION, JOB, Stub, USER, key};

const CREATED: &str = "2026-01-02T03:04:05.678Z";

#[tokio::test]
async fn the_list_of_the_specification_is_read_and_its_pages_are_named() {
    let stub = Stub::answering(|seen| {
        let last = seen.param("cursor").is_some();
        let record = json!({"id": CONVERSATION, "createdAt": CREATED, "updatedAt": CREATED, "name": null,
                            "lastPrompt": "revenue?", "new": 1});
        Json(json!({"records": [record, {"id": null}],
            "pageInfo": {"hasNextPage": !last, "nextCursor": "c-2", "pageSize": 100, "totalRecords": 2}}))
    })
    .await;
    let page = stub.omni().conversations(&key(), Some(USER), None).await.unwrap();
    let [head] = page.conversations.as_slice() else { panic!("{page:?}") };
    assert_eq!((head.id, head.last_prompt.as_deref()), (CONVERSATION, Some("revenue?")));
    assert_eq!(head.created_at, Some(CREATED.parse().unwrap()));
    assert_eq!(page.next.as_deref(), Some("c-2"));
    assert!(!format!("{head:?}").contains("revenue"));
    let last = stub.omni().conversations(&key(), None, Some("c-2")).await.unwrap();
    assert_eq!(last.next, None);

    let seen = stub.seen();
    for one in &seen {
        assert_eq!((one.method.as_str(), one.path.as_str()), ("GET", "/api/v1/ai/conversations"));
        one.takes_declared_parameters();
    }
    assert_eq!((seen[0].param("userId"), seen[0].param("cursor")), (Some(USER.to_string().as_str()), None));
    assert_eq!((seen[1].param("userId"), seen[1].param("cursor")), (None, Some("c-2")));
}

#[tokio::test]
async fn the_list_of_the_documentation_is_read_too() {
    let stub = Stub::answering(|_| {
        Json(json!({"data": [{"id": CONVERSATION, "createdAt": "2026-01-02T03:04:05Z", "lastUserPrompt": "revenue?"}]}))
    })
    .await;
    let page = stub.omni().conversations(&key(), None, None).await.unwrap();
    assert_eq!(page.conversations[0].last_prompt.as_deref(), Some("revenue?"));
    assert!(page.conversations[0].created_at.is_some() && page.conversations[0].updated_at.is_none());
    assert_eq!(page.next, None);
}

async fn messages(rows: Value) -> Vec<omni_relay::omni::Message> {
    let stub = Stub::answering(move |_| {
        Json(json!({"id": CONVERSATION, "createdAt": CREATED, "updatedAt": CREATED, "name": null, "messages": rows}))
    })
    .await;
    let messages = stub.omni().conversation(&key(), CONVERSATION).await.unwrap();
    let seen = stub.only();
    assert_eq!(seen.path, format!("/api/v1/ai/conversations/{CONVERSATION}"));
    seen.keeps_to_the_contract();
    messages
}

#[tokio::test]
async fn messages_are_read_in_both_spellings() {
    let spec = json!([
        {"role": "user", "text": "revenue?", "createdAt": CREATED, "jobId": JOB, "omniChatUrl": "https://x/chat/1"},
        {"role": "assistant", "text": "12", "createdAt": CREATED, "jobId": null, "omniChatUrl": null},
    ]);
    let docs = json!([
        {"role": "user", "content": "revenue?", "timestamp": CREATED, "jobId": JOB, "omniChatUrl": "https://x/chat/1"},
        {"role": "assistant", "content": "12", "timestamp": CREATED},
    ]);
    let (spec, docs) = (messages(spec).await, messages(docs).await);
    assert!(spec == docs, "{spec:?} {docs:?}");
    assert!(spec[0].by_user && !spec[1].by_user);
    assert_eq!((spec[0].text.as_str(), spec[0].job_id, spec[1].job_id), ("revenue?", Some(JOB), None));
    assert_eq!(spec[0].created_at, Some(CREATED.parse().unwrap()));
    assert!(!format!("{spec:?}").contains("revenue"));
}

#[tokio::test]
async fn what_is_no_list_is_not_taken_for_an_empty_one() {
    let stub = Stub::answering(|_| Json(json!({"detail": "odd", "id": Uuid::nil()}))).await;
    let error = stub.omni().conversations(&key(), None, None).await.unwrap_err();
    assert!(matches!(error, OmniError::BadBody { .. }), "absence is not proven: {error:?}");
    let error = stub.omni().conversation(&key(), CONVERSATION).await.unwrap_err();
    assert!(matches!(error, OmniError::BadBody { .. }), "absence is not proven: {error:?}");
}
