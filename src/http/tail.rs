//! A conversation's entries as they come: in order, none left out, none twice.
//!
//! A tail holds no connection and no task: it shares its conversation's feed with all who read it here. While Redis is away
//! it keeps its reader and its place and says nothing; it goes on where it was once Redis is back. The end is always clean,
//! and the id of the last entry leads on from there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::Services;
use super::feed::{Feed, Next, PAGE};
use super::frame::{self, Frame};
use super::history;
use super::position::{EntryId, Start};
use super::standing::Standing;
use crate::model::{Conversation, PromptId};
use crate::runtime::Stop;
use crate::runtime::metrics::SSE_READERS;
use crate::store::{Store, StoreError};

/// Pause after which a comment shows that the connection lives.
const ALIVE: Duration = Duration::from_secs(15);
/// Between two tries while Redis is away.
const AGAIN: Duration = Duration::from_secs(1);

/// One reader's place in one conversation.
pub(super) struct Tail {
    store: Store,
    stop: Stop,
    conversation: Conversation,
    feed: Arc<Feed>,
    extensions: watch::Receiver<()>,
    after: EntryId,
    read: VecDeque<Frame>,
    /// What is sent before any entry.
    first: Option<Bytes>,
    until: Option<Until>,
    /// When the reader may read no longer.
    expires: Option<Instant>,
    standing: Standing,
    ended: bool,
    _reader: Reader,
}

/// The last entry that a reader wants: the one that ends this prompt.
pub(super) struct Until {
    pub(super) prompt: PromptId,
    /// Where it stands, if it stood there when the reader came: it may be trimmed away before it is read.
    pub(super) entry: Option<EntryId>,
}

/// Counts readers while they are there.
struct Reader;

impl Tail {
    pub(super) async fn open(
        services: &Services,
        conversation: Conversation,
        start: Start,
        until: Option<Until>,
        expires: Option<Instant>,
        standing: Standing,
    ) -> Result<Self, StoreError> {
        let feed = services.feeds.of(&conversation).await?;
        let (after, first) = match start {
            Start::After(id) => (id, None),
            Start::New => {
                let newest = history::newest(&services.store, &conversation).await?;
                // An id without data tells a browser where to go on and is no event: not even a break before the first
                // entry loses one.
                (newest, Some(frame::event_of(None, Some(&newest.to_string()), "")))
            }
        };
        let extensions = feed.extensions();
        let mut tail = Self {
            store: services.store.clone(),
            stop: services.stop.clone(),
            conversation,
            feed,
            extensions,
            after,
            read: VecDeque::new(),
            first,
            until,
            expires,
            standing,
            ended: false,
            _reader: Reader::new(),
        };
        // What cannot be read at all is told by a status.
        tail.look().await?;
        Ok(tail)
    }

    /// Until the wanted entry, the token's end, the end of the right to read, the process' stop, an entry that cannot be
    /// read, or the reader is gone.
    pub(super) fn frames(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut tail| async move { tail.next().await.map(|bytes| (Ok(bytes), tail)) })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let alive = Instant::now() + ALIVE;
        loop {
            if self.ended || self.expires.is_some_and(|end| end <= Instant::now()) || self.standing.is_gone() {
                return None;
            }
            if let Some(frame) = self.read.pop_front() {
                self.ended = self.until.as_ref().is_some_and(|until| until.is(&frame));
                return Some(frame.bytes);
            }
            self.extensions.mark_unchanged();
            let look_again = match self.look().await {
                Ok(true) => continue,
                Ok(false) => None,
                Err(error) if error.passes() => Some(Instant::now() + AGAIN),
                Err(error) => {
                    warn!(conversation.id = %self.conversation, error = %error, "cannot go on reading a conversation");
                    return None;
                }
            };
            let end = self.expires.into_iter().chain(look_again).min();
            tokio::select! {
                _ = self.extensions.changed() => {}
                () = self.standing.changed() => {}
                () = self.stop.requested() => return None,
                () = sleep_until(alive) => return Some(frame::ALIVE),
                () = sleep_until(end.unwrap_or(alive)) => {}
            }
        }
    }

    /// Takes what follows; whether there is anything.
    async fn look(&mut self) -> Result<bool, StoreError> {
        match self.feed.next(self.after) {
            Next::Frames(frames) => self.read.extend(frames),
            Next::Nothing => {}
            Next::Older => self.catch_up().await?,
            Next::Broken => return Err(StoreError::Corrupt { what: "an entry of a conversation" }),
        }
        if let Some(last) = self.read.back() {
            self.after = last.id;
        }
        Ok(!self.read.is_empty())
    }

    /// Reads a page that the feed has no more, or never had.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let piece = history::read(&self.store, &self.conversation, self.after, PAGE).await?;
        if let Some(first) = piece.entries.first().filter(|_| piece.gap) {
            let gap = json!({"from": self.after.to_string(), "to": first.id}).to_string();
            let bytes = frame::event_of(Some("gap"), None, &gap);
            self.read.push_back(Frame { id: self.after, bytes, ends: None });
        }
        for entry in &piece.entries {
            self.read.push_back(Frame::of(entry)?);
        }
        Ok(())
    }
}

impl Until {
    fn is(&self, frame: &Frame) -> bool {
        frame.ends == Some(self.prompt) || self.entry.is_some_and(|entry| frame.id >= entry)
    }
}

impl Reader {
    fn new() -> Self {
        metrics::gauge!(SSE_READERS).increment(1);
        Self
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        metrics::gauge!(SSE_READERS).decrement(1);
    }
}
