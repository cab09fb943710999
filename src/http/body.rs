//! A body that is read whole, up to a size and within a time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::code::Code;
use super::problem::Problem;
use crate::model::attachments::MAX_ATTACHED;
use crate::model::members::MAX_REST;

/// Largest body of a prompt: its attachments, and all else.
pub(super) const LARGEST: usize = MAX_ATTACHED + MAX_REST;
/// Largest body of a batch.
pub(super) const LARGEST_BATCH: usize = 4 * 1024 * 1024;
/// What is said of a body that cannot be read.
pub(super) const PROBLEMS: [Code; 3] = [Code::BadRequest, Code::RequestTimeout, Code::PayloadTooLarge];
const WITHIN: Duration = Duration::from_secs(30);

/// Reads a body of at most `largest` bytes. One that announces more is not read at all.
pub(super) async fn read(headers: &HeaderMap, body: Body, largest: usize) -> Result<Bytes, Problem> {
    within(WITHIN, headers, body, largest).await
}

async fn within(time: Duration, headers: &HeaderMap, body: Body, largest: usize) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > largest) {
        return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    match tokio::time::timeout(time, collect(body, largest)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::of_status(StatusCode::REQUEST_TIMEOUT)),
    }
}

async fn collect(body: Body, largest: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut read = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::of_status(StatusCode::BAD_REQUEST))?;
        if read.len() + chunk.len() > largest {
            return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(body: Body) -> Option<StatusCode> {
        read(&HeaderMap::new(), body, LARGEST).await.err().map(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_body_has_a_size() {
        assert_eq!(status(Body::from(vec![b' '; LARGEST])).await, None);
        assert_eq!(status(Body::from(vec![b' '; LARGEST + 1])).await, Some(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[tokio::test]
    async fn a_body_has_a_time() {
        let endless = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let late = within(Duration::from_millis(1), &HeaderMap::new(), Body::from_stream(endless), LARGEST).await;
        assert_eq!(late.unwrap_err().status, StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_by_its_own_word_is_not_polled() {
        let body = Body::from_stream(futures_util::stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<Bytes, std::io::Error>>> { panic!("the body was read") },
        ));
        let headers = [(header::CONTENT_LENGTH, (LARGEST + 1).into())].into_iter().collect();
        assert_eq!(read(&headers, body, LARGEST).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
