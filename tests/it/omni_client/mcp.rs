//! What is passed on to Omni's MCP server, and what can keep an answer from beginning.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use futures_util::StreamExt;
use omni_relay::omni::{McpAnswer, McpClient, McpRequest, OmniError};
use reqwest::Method;
use tokio::net::TcpListener;

use super::{MODEL, Stub, TOKEN, USER, assert_discreet, endless_body, key, origin};

fn request() -> McpRequest {
    let headers = [("mcp-session-id", "as the agent says"), ("cookie", "a=b"), ("mcp-other", "x")];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    McpRequest {
        method: Method::POST,
        headers: HeaderMap::from_iter(headers),
        session: Some("as it was checked".to_owned()),
        body: "a body".into(),
        model_id: Some(MODEL),
        topic: Some("Größen".to_owned()),
    }
}

async fn exchange(url: &url::Url) -> Result<McpAnswer, OmniError> {
    within(Duration::from_secs(10), url).await
}

async fn within(patience: Duration, url: &url::Url) -> Result<McpAnswer, OmniError> {
    McpClient::new(url, patience).unwrap().exchange(&key(), USER, request()).await
}

#[tokio::test]
async fn what_was_checked_is_what_is_sent() {
    let stub = Stub::answering(|_| StatusCode::ACCEPTED).await;
    assert_eq!(exchange(&stub.url).await.unwrap().status, 202);
    let seen = stub.only();
    assert_eq!((seen.method.as_str(), seen.path.as_str(), &seen.body[..]), ("POST", "/mcp/https", &b"a body"[..]));
    for (name, value) in [
        ("authorization", format!("Bearer {TOKEN}")),
        ("mcp-session-id", "as it was checked".to_owned()),
        ("mcp-other", "x".to_owned()),
        ("x-mcp-user-id", USER.to_string()),
        ("x-mcp-user-required", "true".to_owned()),
        ("x-mcp-model-id", MODEL.to_string()),
        ("x-mcp-topic-name", "Größen".to_owned()),
    ] {
        let all: Vec<&[u8]> = seen.headers.get_all(name).iter().map(axum::http::HeaderValue::as_bytes).collect();
        assert_eq!(all, [value.as_bytes()], "{name}");
    }
    assert!(!seen.headers.contains_key("cookie"));
}

#[tokio::test]
async fn an_answer_must_begin_in_time_and_may_go_on_for_ever() {
    let silent = Stub::silent().await;
    let late = tokio::time::timeout(Duration::from_secs(10), within(Duration::from_millis(100), &silent.url));
    let error = late.await.expect("it gives up").err().unwrap();
    assert!(matches!(error, OmniError::Late) && error.is_late(), "{error:?}");
    let endless = Stub::answering(|_| endless_body()).await;
    let patience = Duration::from_secs(1);
    let mut body = Box::pin(within(patience, &endless.url).await.unwrap().into_body());
    let end = tokio::time::Instant::now() + 2 * patience;
    while tokio::time::Instant::now() < end {
        assert!(!body.next().await.unwrap().unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_concerns_the_relay_is_no_answer() {
    for (status, kind) in [
        (301, "redirected"),
        (307, "redirected"),
        (401, "unauthorized"),
        (429, "throttled"),
        (500, "server"),
        (503, "server"),
        (599, "server"),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let stub = Stub::answering(move |_| (status, [("location", "/elsewhere")], "ACME").into_response()).await;
        let error = exchange(&stub.url).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{status}");
        assert_discreet(&error);
        assert_eq!(stub.seen().len(), 1, "{status}: nothing is followed, nothing is repeated");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = origin("http", &listener);
    drop(listener);
    let error = exchange(&url).await.err().unwrap();
    assert!(matches!(error, OmniError::NotSent(_)), "{error:?}");
    assert_discreet(&error);
}

#[test]
fn an_exchange_is_counted_when_its_answer_begins() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let answer = exchange(&Stub::answering(|_| endless_body()).await.url).await;
            let _ = within(Duration::from_millis(100), &Stub::silent().await.url).await;
            drop(answer);
        });
    });
    let text = handle.render();
    for status in ["2xx", "timeout"] {
        let line = format!(r#"omni_relay_omni_requests_total{{operation="mcp",status="{status}"}} 1"#);
        assert!(text.contains(&line), "{status}: {text}");
    }
    assert!(text.contains(r#"omni_relay_omni_request_duration_seconds_count{operation="mcp"} 2"#), "{text}");
}
