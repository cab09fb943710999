//! The HTTP client under the verbs: one origin, no redirects, no repeats, bounded bodies, one metric per call.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use reqwest::header::AUTHORIZATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response};
use url::Url;

use super::api_key::ApiKey;
use super::classify::{self, Operation};
use super::error::OmniError;
use crate::runtime::traces::{self, SpanKind};

/// How to reach Omni.
#[derive(Debug, Clone)]
pub struct OmniOptions {
    /// Scheme, host and port, nothing more: `https://acme.omniapp.co`. The only place a key is ever sent to.
    pub base_url: Url,
    /// From the start of a call to the last byte of its answer.
    pub timeout: Duration,
    /// Longest result that is read.
    pub result_max_bytes: usize,
}

/// Omni's REST interface. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Omni {
    client: Client,
    options: OmniOptions,
    /// Whether the instance spells the path of its users in lower case.
    pub(super) lower_users: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
pub enum OmniSetupError {
    #[error("use an address of omni that is more than http(s)://host[:port]")]
    BaseUrl,
    #[error("build the http client")]
    Client(#[source] reqwest::Error),
}

/// Longest answer of every call but `result`.
pub(super) const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// How much of an error's body is looked at.
const MAX_ERROR_BODY: usize = 64 * 1024;
pub(super) const USER_AGENT: &str = concat!("omni-relay/", env!("CARGO_PKG_VERSION"));
pub(super) const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// Shorter than the minute after which common load balancers close an idle connection: a create written to a
/// connection that is being closed would have an unknown outcome.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(30);

impl Omni {
    pub fn new(options: OmniOptions) -> Result<Self, OmniSetupError> {
        let url = &options.base_url;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !plain {
            return Err(OmniSetupError::BaseUrl);
        }
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            // The default repeats a request after HTTP/2 GOAWAY without asking which streams had been accepted.
            .retry(reqwest::retry::never())
            // Below the total, so that an address that swallows packets counts as "nothing was sent".
            .connect_timeout(LONGEST_CONNECT.min(options.timeout / 2))
            .timeout(options.timeout)
            .pool_idle_timeout(POOL_IDLE)
            .build()
            .map_err(OmniSetupError::Client)?;
        Ok(Self { client, options, lower_users: Arc::default() })
    }

    /// Where Omni is: an origin.
    pub fn base_url(&self) -> &Url {
        &self.options.base_url
    }

    pub(super) fn result_max_bytes(&self) -> usize {
        self.options.result_max_bytes
    }

    pub(super) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// A request to the configured origin. `path` holds no text of a user's.
    pub(super) fn request(&self, method: Method, key: &ApiKey, path: &str) -> RequestBuilder {
        let mut url = self.options.base_url.clone();
        url.set_path(path);
        self.client.request(method, url).header(AUTHORIZATION, key.authorization())
    }

    /// Sends and reads the body of a success, at most `limit` bytes.
    pub(super) async fn call(
        &self,
        operation: Operation,
        request: RequestBuilder,
        limit: usize,
    ) -> Result<Vec<u8>, OmniError> {
        let started = Instant::now();
        let exchange = async {
            let request = match traces::current() {
                Some(trace) => request.header("traceparent", trace.to_string()),
                None => request,
            };
            exchange(operation, request, limit).await
        };
        let (status, outcome) = match traces::current() {
            Some(_) => traces::within(operation.as_str(), SpanKind::Client, None, exchange).await,
            None => exchange.await,
        };
        count(operation, status, started.elapsed());
        outcome
    }
}

pub(super) fn count(operation: Operation, status: &'static str, took: Duration) {
    let labels = [("operation", operation.as_str()), ("status", status)];
    metrics::counter!("omni_relay_omni_requests_total", &labels).increment(1);
    metrics::histogram!("omni_relay_omni_request_duration_seconds", "operation" => operation.as_str()).record(took);
}

/// The exchange and the word under which it is counted.
async fn exchange(
    operation: Operation,
    request: RequestBuilder,
    limit: usize,
) -> (&'static str, Result<Vec<u8>, OmniError>) {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return lost(operation, error),
    };
    let status = response.status();
    if !status.is_success() {
        let headers = response.headers().clone();
        let body = read_error_body(response).await;
        return (class(status.as_u16()), Err(classify::status(operation, status, &headers, &body)));
    }
    match read_body(response, limit).await {
        Ok(Some(body)) => (class(status.as_u16()), Ok(body)),
        Ok(None) => ("too_large", Err(OmniError::TooLarge { limit })),
        Err(error) => lost(operation, error),
    }
}

/// What failed below HTTP.
pub(super) fn lost<T>(operation: Operation, error: reqwest::Error) -> (&'static str, Result<T, OmniError>) {
    let label = match () {
        () if error.is_connect() => "connect",
        () if error.is_timeout() => "timeout",
        () => "lost",
    };
    (label, Err(classify::transport(operation, error.into())))
}

pub(super) fn class(status: u16) -> &'static str {
    match status {
        401 => "401",
        409 => "409",
        429 => "429",
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// The whole body, or nothing when it is longer than `limit`.
async fn read_body(mut response: Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The head of the body, or as much of it as came: the status has said what matters.
async fn read_error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_ERROR_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_is_an_address() {
        let with = |url: &str| {
            let base_url = Url::parse(url).unwrap();
            Omni::new(OmniOptions { base_url, timeout: Duration::from_secs(1), result_max_bytes: 1 })
        };
        assert!(with("https://acme.omniapp.co").is_ok());
        assert!(with("http://127.0.0.1:9000/").is_ok());
        for url in [
            "https://acme.omniapp.co/api",
            "https://acme.omniapp.co/?a=b",
            "https://acme.omniapp.co/#a",
            "https://user@acme.omniapp.co/",
            "https://:secret@acme.omniapp.co/",
            "ftp://acme.omniapp.co/",
            "unix:/tmp/socket",
        ] {
            assert!(matches!(with(url), Err(OmniSetupError::BaseUrl)), "{url}");
        }
    }
}
