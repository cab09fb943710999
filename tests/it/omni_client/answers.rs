//! What we understand of what comes back.

use axum::Json;
use axum::http::{StatusCode, header};
use omni_relay::model::JobState;
use omni_relay::omni::{Doubt, JobResult, JobStatus, OmniError};
use serde_json::{Value, json};

use super::{CONVERSATION, JOB, RESULT_LIMIT, Stub, assert_discreet, call, endless_body, key};

#[tokio::test]
async fn a_status_keeps_what_it_does_not_know() {
    let stub = Stub::answering(|_| {
        Json(json!({
            "id": JOB, "state": "FAILED", "conversationId": CONVERSATION, "progress": null, "branchId": null,
            "error": {"message": "Column not found", "code": "QUERY_EXECUTION_ERROR", "hint": "x"},
            "omniChatUrl": "https://acme.omni.co/chat/1", "laterAddition": {"a": [1, 2]},
        }))
    })
    .await;
    let status: JobStatus = stub.omni().status(&key(), JOB).await.unwrap();
    assert_eq!((status.id, status.state, status.conversation_id), (JOB, JobState::Failed, Some(CONVERSATION)));
    let error = status.error.unwrap();
    assert_eq!(error.code.as_deref(), Some("QUERY_EXECUTION_ERROR"));
    assert_eq!(error.message.as_deref(), Some("Column not found"));
    assert!(status.progress.is_none());
    let raw: Value = serde_json::from_str(status.raw.get()).unwrap();
    assert_eq!(raw["laterAddition"], json!({"a": [1, 2]}));

    let stub = Stub::answering(|_| {
        let progress = json!({"iteration": 2, "message": "Running query", "updatedAt": "2025-01-15T10:00:08.000Z"});
        Json(json!({"id": JOB, "status": "executing", "progress": progress}))
    })
    .await;
    let status = stub.omni().status(&key(), JOB).await.unwrap();
    assert_eq!(status.state, JobState::Executing);
    let progress = status.progress.unwrap();
    assert_eq!((progress.iteration, progress.message.as_deref()), (Some(2), Some("Running query")));
}

#[tokio::test]
async fn a_result_labelled_octet_stream_is_read_and_kept_to_the_letter() {
    let text = r#"{"message":"**42**","topic":"order_items","actions":[{"type":"generate_query","later":1.0,
        "result":{"status":"success","csvResult":"a\n1","csvResultWasTruncated":true}}],"later":{"b":2.50}}"#;
    let stub = Stub::answering(move |_| ([(header::CONTENT_TYPE, "application/octet-stream")], text)).await;
    let result: JobResult = stub.omni().result(&key(), JOB).await.unwrap();
    assert_eq!(result.raw, text);
    assert_eq!((result.message.as_deref(), result.topic.as_deref()), (Some("**42**"), Some("order_items")));
    assert!(result.actions.as_ref().unwrap().get().contains(r#""later":1.0"#));
    assert!(result.partial);
    assert!(!format!("{result:?}").contains("42"));
}

#[tokio::test]
async fn a_result_is_read_up_to_its_limit_whether_its_length_is_announced_or_not() {
    let sized = |length: usize| format!(r#"{{"message":"{}"}}"#, "x".repeat(length - 14));
    let whole = Stub::answering(move |_| sized(RESULT_LIMIT)).await;
    assert_eq!(whole.omni().result(&key(), JOB).await.unwrap().raw.len(), RESULT_LIMIT);

    let announced = Stub::answering(move |_| sized(RESULT_LIMIT + 1)).await;
    let endless = Stub::answering(|_| endless_body()).await;
    for stub in [announced, endless] {
        let error = stub.omni().result(&key(), JOB).await.unwrap_err();
        assert!(matches!(error, OmniError::TooLarge { limit: RESULT_LIMIT }), "{error:?}");
    }
}

#[tokio::test]
async fn a_chart_is_a_png_of_a_size_and_nothing_else() {
    let png = |length: usize| [b"\x89PNG\r\n\x1a\n".to_vec(), vec![7; length - 8]].concat();
    let whole =
        Stub::answering(move |_| ([(header::CONTENT_TYPE, "application/octet-stream")], png(RESULT_LIMIT))).await;
    assert_eq!(whole.omni().chart(&key(), JOB).await.unwrap(), png(RESULT_LIMIT));
    let large = Stub::answering(move |_| png(RESULT_LIMIT + 1)).await;
    let error = large.omni().chart(&key(), JOB).await.unwrap_err();
    assert!(matches!(error, OmniError::TooLarge { limit: RESULT_LIMIT }), "{error:?}");
    for body in [&b""[..], b"\x89PNG", b"<svg onload=\"alert(1)\"/>", b"GIF89a, by ACME"] {
        let stub = Stub::answering(move |_| ([(header::CONTENT_TYPE, "image/png")], body)).await;
        let error = call(&stub.omni(), "chart").await.unwrap_err();
        assert!(matches!(error, OmniError::BadBody { .. }), "{error:?}");
        assert_discreet(&error);
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_an_error_and_a_create_then_is_in_doubt() {
    for body in ["", "ACME says hello", "[]", "\"ACME\"", r#"{"jobId":"ACME"}"#] {
        let stub = Stub::answering(move |_| (StatusCode::CREATED, body)).await;
        for operation in ["status", "cancel"] {
            let error = call(&stub.omni(), operation).await.unwrap_err();
            assert!(matches!(error, OmniError::BadBody { .. }), "{operation} {body}: {error:?}");
            assert_discreet(&error);
        }
        let error = call(&stub.omni(), "create").await.unwrap_err();
        assert!(matches!(error, OmniError::UnknownOutcome(Doubt::Unreadable)), "{body}: {error:?}");
        assert_discreet(&error);
    }
}
