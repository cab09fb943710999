//! What Omni can answer other than yes, and what each answer permits.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use omni_relay::omni::OmniError;
use serde_json::json;

use super::{OPERATIONS, Stub, assert_discreet, call, created, endless_body};

#[tokio::test]
async fn every_status_has_its_meaning() {
    for (operation, status, kind) in [
        ("create", 400, "refused"),
        ("create", 401, "unauthorized"),
        ("create", 402, "refused"),
        ("create", 403, "refused"),
        ("create", 404, "refused"),
        ("create", 408, "unknown_outcome"),
        ("create", 409, "conflict"),
        ("create", 422, "refused"),
        ("create", 425, "unknown_outcome"),
        ("create", 429, "throttled"),
        ("create", 500, "unknown_outcome"),
        ("create", 502, "unknown_outcome"),
        ("create", 503, "unknown_outcome"),
        ("create", 504, "unknown_outcome"),
        ("status", 400, "refused"),
        ("status", 401, "unauthorized"),
        ("status", 403, "refused"),
        ("status", 404, "not_found"),
        ("status", 429, "throttled"),
        ("status", 503, "server"),
        ("result", 403, "refused"),
        ("result", 404, "not_ready"),
        ("result", 409, "not_ready"),
        ("result", 425, "not_ready"),
        ("result", 429, "throttled"),
        ("result", 408, "server"),
        ("result", 500, "server"),
        ("cancel", 400, "refused"),
        ("cancel", 404, "not_found"),
        ("cancel", 409, "conflict"),
        ("cancel", 502, "server"),
        ("chart", 404, "not_found"),
        ("chart", 422, "refused"),
        ("chart", 500, "server"),
        ("feedback", 403, "refused"),
        ("feedback", 404, "not_found"),
        ("feedback", 409, "conflict"),
        ("users", 401, "unauthorized"),
        ("users", 403, "refused"),
        ("users", 500, "server"),
    ] {
        let body = json!({"detail": "No access to ACME", "code": "shutoff", "status": status});
        let stub = Stub::answering(move |_| (StatusCode::from_u16(status).unwrap(), Json(body.clone()))).await;
        let error = call(&stub.omni(), operation).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{operation} {status}");
        assert_eq!(error.outcome_unknown(), kind == "unknown_outcome");
        if let Some(detail) = error.detail() {
            assert_eq!(detail.code.as_deref(), Some("shutoff"));
            assert_eq!(detail.message.as_deref(), Some("No access to ACME"));
        }
        assert_eq!(error.detail().is_some(), matches!(kind, "refused" | "conflict"));
        assert_discreet(&error);
        assert_eq!(stub.seen().len(), 1, "nothing is repeated by itself");
    }
}

#[tokio::test]
async fn the_body_of_an_error_may_be_anything() {
    for status in [StatusCode::BAD_GATEWAY, StatusCode::FORBIDDEN] {
        let html = Stub::answering(move |_| (status, "<html><h1>ACME is down</h1></html>")).await;
        let nothing = Stub::answering(move |_| status).await;
        let endless = Stub::answering(move |_| (status, endless_body())).await;
        for stub in [html, nothing, endless] {
            let error = call(&stub.omni(), "status").await.unwrap_err();
            assert_eq!(error.kind(), if status.is_server_error() { "server" } else { "refused" });
            assert!(error.detail().is_none_or(|detail| detail.message.is_none()));
            assert_discreet(&error);
        }
    }
}

#[tokio::test]
async fn a_429_says_how_long_or_it_does_not() {
    let asked = |retry_after: Option<&'static str>| async move {
        let stub = Stub::answering(move |_| {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
            if let Some(value) = retry_after {
                headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            }
            (StatusCode::TOO_MANY_REQUESTS, headers, "slow down")
        })
        .await;
        let error = call(&stub.omni(), "create").await.unwrap_err();
        assert!(matches!(error, OmniError::Throttled { .. }) && !error.outcome_unknown());
        error.retry_after()
    };
    assert_eq!(asked(Some("7")).await, Some(Duration::from_secs(7)));
    assert_eq!(asked(Some("Sun, 06 Nov 1994 08:50:07 GMT")).await, Some(Duration::from_secs(30)));
    assert_eq!(asked(Some("whenever")).await, None);
    assert_eq!(asked(None).await, None);
}

#[tokio::test]
async fn a_redirect_is_followed_nowhere() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Stub::answering(|_| created()).await;
        let target = elsewhere.url.to_string();
        let stub = Stub::answering(move |seen| {
            let location = format!("{}{}", target.trim_end_matches('/'), seen.path);
            (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, location)])
        })
        .await;
        for operation in OPERATIONS {
            let error = call(&stub.omni(), operation).await.unwrap_err();
            assert!(matches!(error, OmniError::Redirected { .. }), "{operation} {status}: {error:?}");
            assert!(!error.outcome_unknown());
        }
        assert!(elsewhere.seen().is_empty(), "the token left for another address");
        assert_eq!(stub.seen().len(), OPERATIONS.len());
    }
}
