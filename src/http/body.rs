//! A body that is read whole, up to a size and within a time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::sync::oneshot;

use super::code::Code;
use super::problem::Problem;
use crate::model::attachments::MAX_ATTACHED;
use crate::model::fields::MAX_REST;

/// Largest body of a prompt: its attachments, and all else.
pub(super) const LARGEST: usize = MAX_ATTACHED + MAX_REST;
/// Largest body of a batch.
pub(super) const LARGEST_BATCH: usize = 4 * 1024 * 1024;
/// What is said of a body that cannot be read.
pub(super) const PROBLEMS: [Code; 3] = [Code::BadRequest, Code::RequestTimeout, Code::PayloadTooLarge];
const WITHIN: Duration = Duration::from_secs(30);
/// How much of a body that nobody wants is read, and for how long.
const UNWANTED: (usize, Duration) = (2 * LARGEST, Duration::from_secs(5));
/// A body of this size comes with its head.
const SMALL: u64 = 4 * 1024;

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

/// What of a body its handler left unread.
pub(super) struct Rest(oneshot::Receiver<BodyDataStream>);

/// The request, and what of its body will be left. `None` for a body that comes with its head, and for one that is not sent
/// before it is asked for.
pub(super) fn remembered(request: Request) -> (Request, Option<Rest>) {
    let small = request.body().size_hint().exact().is_some_and(|size| size <= SMALL);
    if small || request.headers().contains_key(header::EXPECT) {
        return (request, None);
    }
    let (back, rest) = oneshot::channel();
    let lent = |body: Body| Body::from_stream(Lent { chunks: Some(body.into_data_stream()), back: Some(back) });
    (request.map(lent), Some(Rest(rest)))
}

impl Rest {
    /// Reads it, for a while: a connection that is closed with something unread is reset, and its caller sees a broken pipe in
    /// place of the answer.
    pub(super) async fn read(mut self) {
        let Ok(chunks) = self.0.try_recv() else { return };
        let (most, time) = UNWANTED;
        let chunks = chunks.take_while(|chunk| std::future::ready(chunk.is_ok()));
        let some = chunks.scan(0, |read, chunk| {
            *read += chunk.map_or(0, |chunk| chunk.len());
            std::future::ready((*read <= most).then_some(()))
        });
        let _ = tokio::time::timeout(time, some.collect::<()>()).await;
    }
}

/// Goes back when it is dropped before its end.
struct Lent {
    chunks: Option<BodyDataStream>,
    back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(chunks) = &mut self.chunks else { return Poll::Ready(None) };
        let next = ready!(chunks.poll_next_unpin(cx));
        if !matches!(next, Some(Ok(_))) {
            self.chunks = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(chunks), Some(back)) = (self.chunks.take(), self.back.take()) {
            // Where nobody waits for it any more the connection is gone.
            let _ = back.send(chunks);
        }
    }
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
