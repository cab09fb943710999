//! The extractor of Omni's webhooks. Holding a [`Verified`] is the proof that its body was signed with one of our
//! secrets, recently: there is no other way to come by one.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRef, FromRequest};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::event::{Event, MalformedEvent};
use super::signature::{Rejection, SIGNATURE_HEADER, TIMESTAMP_HEADER, Verifier};

/// Longest body that is read. Results are never in a webhook, only their summary.
pub const MAX_WEBHOOK_BODY: usize = 1024 * 1024;

/// What the extractor needs from the router's state, as `Arc<WebhookVerifier>`.
pub struct WebhookVerifier {
    verifier: Verifier,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl WebhookVerifier {
    /// `clock` tells the milliseconds since 1970.
    pub fn new(verifier: Verifier, clock: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self { verifier, clock }
    }
}

/// A webhook whose signature was checked.
#[derive(Clone)]
pub struct Verified {
    body: Bytes,
}

impl Verified {
    /// The bytes that were signed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub fn event(&self) -> Result<Event, MalformedEvent> {
        Event::read(&self.body)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// Why a request was turned away before any handler saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRejection {
    #[error(transparent)]
    Signature(#[from] Rejection),
    #[error("read a webhook of more than {MAX_WEBHOOK_BODY} bytes")]
    TooLarge,
    #[error("receive the whole webhook")]
    Interrupted,
}

impl WebhookRejection {
    /// One word of a closed set, for metrics.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Signature(rejection) => rejection.kind(),
            Self::TooLarge => "too_large",
            Self::Interrupted => "interrupted",
        }
    }
}

impl IntoResponse for WebhookRejection {
    /// No body: whatever is wrong with a signature, its sender sees the same.
    fn into_response(self) -> Response {
        match self {
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Interrupted => StatusCode::BAD_REQUEST,
        }
        .into_response()
    }
}

impl<S> FromRequest<S> for Verified
where
    Arc<WebhookVerifier>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = WebhookRejection;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, WebhookRejection> {
        let verifier = Arc::<WebhookVerifier>::from_ref(state);
        verify(&verifier, request).await.inspect_err(|rejection| {
            metrics::counter!("omni_relay_webhooks_total", "outcome" => rejection.kind()).increment(1);
        })
    }
}

/// The headers first: a body that nobody signed is not even received.
async fn verify(state: &WebhookVerifier, request: Request<Body>) -> Result<Verified, WebhookRejection> {
    let (parts, body) = request.into_parts();
    let timestamp = only(&parts.headers, TIMESTAMP_HEADER)?;
    let signature = only(&parts.headers, SIGNATURE_HEADER)?;
    let claim = state.verifier.claim(timestamp, signature, (state.clock)())?;
    let body = receive(body, announced(&parts.headers)).await?;
    state.verifier.prove(&claim, &body)?;
    Ok(Verified { body })
}

/// A header that is there once. Of two, one could be checked and the other believed.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Rejection> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Rejection::Missing)?;
    if values.next().is_some() {
        return Err(Rejection::Malformed);
    }
    value.to_str().map_err(|_| Rejection::Malformed)
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn receive(body: Body, announced: Option<usize>) -> Result<Bytes, WebhookRejection> {
    if announced.is_some_and(|length| length > MAX_WEBHOOK_BODY) {
        return Err(WebhookRejection::TooLarge);
    }
    let mut chunks = body.into_data_stream();
    let mut received = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| WebhookRejection::Interrupted)?;
        if received.len() + chunk.len() > MAX_WEBHOOK_BODY {
            return Err(WebhookRejection::TooLarge);
        }
        received.extend_from_slice(&chunk);
    }
    Ok(received.freeze())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;

    use super::super::signature::sign;
    use super::*;

    const NOW_MS: u64 = 1_706_123_456_000;
    const NOW: &str = "1706123456";

    fn secret() -> SecretString {
        SecretString::from("whsec")
    }

    async fn extract(headers: &[(&str, &str)], body: impl Into<Body>) -> Result<Verified, WebhookRejection> {
        let verifier = Verifier::new(&[secret()], Duration::from_mins(5));
        let state = Arc::new(WebhookVerifier::new(verifier, Arc::new(|| NOW_MS)));
        let mut request = Request::post("/webhooks/omni");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Verified::from_request(request.body(body.into()).unwrap(), &state).await
    }

    #[tokio::test]
    async fn a_signed_body_comes_through_byte_for_byte() {
        let body = " {\"status\" : \"COMPLETE\", \"x\": 1.0}\n";
        let signature = sign(&secret(), NOW, body.as_bytes());
        let verified = extract(&[(TIMESTAMP_HEADER, NOW), ("X-Omni-Signature", &signature)], body).await.unwrap();
        assert_eq!(verified.body(), body.as_bytes());
        assert!(verified.event().unwrap().status.unwrap().is_final());
    }

    #[tokio::test]
    async fn a_signed_body_that_is_no_event_is_still_verified() {
        let signature = sign(&secret(), NOW, b"not json");
        let verified = extract(&[(TIMESTAMP_HEADER, NOW), (SIGNATURE_HEADER, &signature)], "not json").await.unwrap();
        assert_eq!(verified.event(), Err(MalformedEvent));
    }

    #[tokio::test]
    async fn everything_wrong_with_a_signature_looks_the_same_from_outside() {
        let good = sign(&secret(), NOW, b"{}");
        let forged = sign(&SecretString::from("guess"), NOW, b"{}");
        let old = sign(&secret(), "1706000000", b"{}");
        let new = sign(&secret(), "1706200000", b"{}");
        let (time, signed) = (TIMESTAMP_HEADER, SIGNATURE_HEADER);
        let cases: [(&[(&str, &str)], Rejection); 9] = [
            (&[], Rejection::Missing),
            (&[(time, NOW)], Rejection::Missing),
            (&[(signed, &good)], Rejection::Missing),
            (&[(time, NOW), (signed, &good), (signed, &good)], Rejection::Malformed),
            (&[(time, NOW), (time, NOW), (signed, &good)], Rejection::Malformed),
            (&[(time, NOW), (signed, "sha256=xyz")], Rejection::Malformed),
            (&[(time, NOW), (signed, &forged)], Rejection::Mismatch),
            (&[(time, "1706000000"), (signed, &old)], Rejection::Stale),
            (&[(time, "1706200000"), (signed, &new)], Rejection::Future),
        ];
        for (headers, expected) in cases {
            let rejection = extract(headers, "{}").await.unwrap_err();
            assert_eq!(rejection, WebhookRejection::Signature(expected));
            let response = rejection.into_response();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert!(response.headers().is_empty(), "{:?}", response.headers());
            assert!(axum::body::to_bytes(response.into_body(), 1).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn a_body_is_received_up_to_its_limit_and_no_further() {
        let largest = vec![b' '; MAX_WEBHOOK_BODY];
        let signature = sign(&secret(), NOW, &largest);
        let headers = [(TIMESTAMP_HEADER, NOW), (SIGNATURE_HEADER, signature.as_str())];
        assert!(extract(&headers, largest).await.is_ok());
        let larger = extract(&headers, vec![b' '; MAX_WEBHOOK_BODY + 1]).await;
        assert_eq!(larger.unwrap_err(), WebhookRejection::TooLarge);
        let endless =
            Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 65_536])));
        assert_eq!(extract(&headers, endless).await.unwrap_err(), WebhookRejection::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_nobody_signed_is_not_polled() {
        let body = Body::from_stream(futures_util::stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Bytes, std::io::Error>>> { panic!("the body was read") },
        ));
        assert_eq!(extract(&[], body).await.unwrap_err(), WebhookRejection::Signature(Rejection::Missing));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_webhook() {
        let signature = sign(&secret(), NOW, b"{}");
        let body = Body::from_stream(futures_util::stream::iter([
            Ok(Bytes::from_static(b"{}")),
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        ]));
        let outcome = extract(&[(TIMESTAMP_HEADER, NOW), (SIGNATURE_HEADER, &signature)], body).await;
        assert_eq!(outcome.unwrap_err(), WebhookRejection::Interrupted);
    }
}
