//! A webhook of our own: signed as Omni signs, about no job, so that a relay notes it and passes over it.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, header};
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use super::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};

/// The body of an event that says nothing about a job.
pub fn test_event(event_id: &str) -> Vec<u8> {
    json!({"event_id": event_id, "event": "relay.test"}).to_string().into_bytes()
}

/// Posts a signed body, as Omni would at `now`; what the receiver answers.
pub async fn post_signed(
    url: &Url,
    secret: &SecretString,
    now: Timestamp,
    body: Vec<u8>,
    timeout: Duration,
) -> Result<StatusCode, reqwest::Error> {
    let timestamp = now.as_second().to_string();
    let request = Client::builder()
        .redirect(Policy::none())
        .timeout(timeout)
        .build()?
        .post(url.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(SIGNATURE_HEADER, sign(secret, &timestamp, &body))
        .header(TIMESTAMP_HEADER, timestamp)
        .body(body);
    Ok(request.send().await?.status())
}
