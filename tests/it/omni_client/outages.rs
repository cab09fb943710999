//! What the network can do, and how one call of each kind is counted.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use omni_relay::omni::{CreateJob, Doubt, OmniError};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{OPERATIONS, Stub, assert_discreet, call, job, key, omni, origin};

#[tokio::test]
async fn no_listener_means_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let omni = omni(origin("http", &listener), Duration::from_secs(5));
    drop(listener);
    for operation in OPERATIONS {
        let error = call(&omni, operation).await.unwrap_err();
        assert!(matches!(error, OmniError::NotSent(_)), "{operation}: {error:?}");
        assert!(!error.outcome_unknown());
        assert_discreet(&error);
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_means_that_nothing_was_sent() {
    // The system accepts the connection; nobody ever speaks on it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let omni = omni(origin("https", &listener), Duration::from_millis(400));
    let error = call(&omni, "create").await.unwrap_err();
    assert!(matches!(&error, OmniError::NotSent(cause) if cause.is_timeout()), "{error:?}");
}

#[tokio::test]
async fn no_answer_in_time_leaves_a_create_in_doubt_and_nothing_else() {
    let stub = Stub::silent().await;
    for operation in OPERATIONS {
        let error = call(&stub.hasty(), operation).await.unwrap_err();
        let expected = match &error {
            OmniError::UnknownOutcome(Doubt::Timeout(_)) => operation == "create",
            OmniError::Interrupted(cause) => operation != "create" && cause.is_timeout(),
            _ => false,
        };
        assert!(expected, "{operation}: {error:?}");
        assert_eq!(error.outcome_unknown(), operation == "create");
        assert_discreet(&error);
    }
    assert_eq!(stub.seen().len(), OPERATIONS.len(), "each was received, once");
}

/// What is cut off while it is uploaded may have been accepted.
#[tokio::test]
async fn a_create_with_files_has_the_time_that_its_upload_takes() {
    let file = json!([{"data": "aGkh".repeat(1 << 16), "mimeType": "image/png"}]);
    let files = serde_json::value::to_raw_value(&file).unwrap();
    let began = Instant::now();
    let stub = Stub::silent().await;
    let error = stub.hasty().create(&key(), &CreateJob { attachments: Some(&files), ..job() }).await.unwrap_err();
    assert!(matches!(error, OmniError::UnknownOutcome(Doubt::Timeout(_))), "{error:?}");
    assert!(began.elapsed() > Duration::from_millis(650), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_that_stalls_counts_as_no_answer() {
    let rest = || stream::pending::<Result<Bytes, Infallible>>();
    let stub = Stub::answering(move |_| {
        let head = stream::iter([Ok(Bytes::from_static(b"{\"jobId\":"))]);
        (StatusCode::CREATED, Body::from_stream(head.chain(rest())))
    })
    .await;
    let error = call(&stub.hasty(), "create").await.unwrap_err();
    assert!(matches!(error, OmniError::UnknownOutcome(Doubt::Timeout(_))), "{error:?}");
    let error = call(&stub.hasty(), "result").await.unwrap_err();
    assert!(matches!(error, OmniError::Interrupted(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_a_create_in_doubt() {
    for answer in ["", "HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"jobId\":"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let omni = omni(origin("http", &listener), Duration::from_secs(5));
        let mut server = JoinSet::new();
        server.spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                // Any part of the request will do: it was sent.
                let _ = socket.read(&mut [0; 4096]).await;
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        let error = call(&omni, "create").await.unwrap_err();
        assert!(matches!(error, OmniError::UnknownOutcome(Doubt::Lost(_))), "{answer:?}: {error:?}");
        assert_discreet(&error);
        let error = call(&omni, "status").await.unwrap_err();
        assert!(matches!(error, OmniError::Interrupted(_)), "{answer:?}: {error:?}");
    }
}

#[test]
fn every_call_is_counted_by_operation_and_outcome() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let throttling = Stub::answering(|_| StatusCode::TOO_MANY_REQUESTS).await;
            call(&throttling.omni(), "create").await.unwrap_err();
            call(&Stub::silent().await.hasty(), "result").await.unwrap_err();
            let kind = Stub::answering(|_| Json(json!({"state": "QUEUED"}))).await;
            call(&kind.omni(), "status").await.unwrap();
        });
    });
    let text = handle.render();
    for labels in [
        r#"operation="create",status="429""#,
        r#"operation="result",status="timeout""#,
        r#"operation="status",status="2xx""#,
    ] {
        assert!(text.contains(&format!("omni_relay_omni_requests_total{{{labels}}} 1")), "{labels}: {text}");
    }
    assert!(text.contains(r#"omni_relay_omni_request_duration_seconds_count{operation="create"} 1"#), "{text}");
}
