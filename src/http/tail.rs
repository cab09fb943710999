//! A conversation's entries as they come: in order, none left out, none twice.
//!
//! A tail holds no connection and no task, and little besides its place: it shares its conversation's feed with all who read
//! it here. There may be ten thousand of them, so that each waits for two things only: news, and one timer that is not
//! touched while entries come. While Redis is away it keeps its reader and its place and says nothing; it goes on where it
//! was once Redis is back. The end is always clean, and the id of the last entry leads on from there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::warn;

use super::Services;
use super::feed::{FEW, Feed, Next, fitting};
use super::frame::{self, Frame};
use super::history;
use super::position::{EntryId, Start};
use super::standing::Standing;
use crate::model::{Conversation, PromptId};
use crate::runtime::hasten;
use crate::store::StoreError;

/// Pause after which a comment shows that the connection lives.
const ALIVE: Duration = Duration::from_secs(15);
/// Between two tries while Redis is away.
const AGAIN: Duration = Duration::from_secs(1);

/// One reader's place in one conversation.
pub(super) struct Tail {
    feed: Arc<Feed>,
    news: watch::Receiver<()>,
    after: EntryId,
    /// A page that the feed has no more, as far as it was not sent.
    page: VecDeque<Frame>,
    /// How many entries the next one is to have.
    fits: usize,
    /// What is sent before any entry.
    first: Option<Bytes>,
    until: Option<Until>,
    /// When the reader may read no longer.
    expires: Option<Instant>,
    standing: Standing,
    /// When something was sent last.
    said: Instant,
    /// Ends when there may be something to do, or before.
    timer: Pin<Box<Sleep>>,
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
        let feed = services.feeds.of(&conversation);
        let (after, first) = match start {
            Start::After(id) => (id, None),
            Start::New => {
                let newest = history::newest(&services.store, &conversation).await?;
                // An id without data tells a browser where to go on and is no event: not even a break before the first
                // entry loses one.
                (newest, Some(frame::event_of(None, Some(&newest.to_string()), "")))
            }
        };
        let (news, said) = (feed.news(), Instant::now());
        let mut tail = Self {
            feed,
            news,
            after,
            page: VecDeque::new(),
            fits: FEW,
            first,
            until,
            expires,
            standing,
            said,
            timer: Box::pin(sleep_until(said + hasten(ALIVE))),
            ended: false,
            _reader: Reader::new(),
        };
        // What cannot be read at all is told by a status.
        if let Some(frame) = tail.look().await? {
            tail.page.push_front(frame);
        }
        Ok(tail)
    }

    /// Until the wanted entry, the token's end, the end of the right to read, the process' stop, an entry that cannot be
    /// read, or the reader is gone.
    pub(super) fn frames(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(Box::new(self), |mut tail| async move {
            let bytes = tail.next().await?;
            tail.said = Instant::now();
            Some((Ok(bytes), tail))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            // News up to here are looked at below.
            self.news.mark_unchanged();
            if self.ended || self.expires.is_some_and(|end| end <= Instant::now()) || self.standing.is_gone() {
                return None;
            }
            let again = match self.look().await {
                Ok(Some(frame)) => {
                    self.after = frame.id;
                    self.ended = self.until.as_ref().is_some_and(|until| until.is(&frame));
                    return Some(frame.bytes);
                }
                Ok(None) => None,
                Err(error) if error.passes() => Some(Instant::now() + AGAIN),
                Err(error) => {
                    warn!(conversation.id = %self.feed.conversation, error = %error, "cannot go on reading a conversation");
                    return None;
                }
            };
            if self.feed.stop.is_requested() {
                return None;
            }
            let alive = self.said + hasten(ALIVE);
            if self.timer.is_elapsed() && alive <= Instant::now() {
                return Some(frame::ALIVE);
            }
            self.wait(self.expires.into_iter().chain(again).fold(alive, Instant::min)).await;
        }
    }

    /// Until there are news, or until `end`; now and then less long.
    async fn wait(&mut self, end: Instant) {
        if self.timer.is_elapsed() || self.timer.deadline() > end {
            self.timer.as_mut().reset(end);
        }
        tokio::select! {
            biased;
            _ = self.news.changed() => {}
            () = &mut self.timer => {}
        }
    }

    /// What follows, if there is anything.
    async fn look(&mut self) -> Result<Option<Frame>, StoreError> {
        if self.page.is_empty() {
            match self.feed.next(self.after) {
                Next::Frame(frame) => return Ok(Some(frame)),
                Next::Nothing => return Ok(None),
                // Seldom, and large.
                Next::Older => Box::pin(self.read_page()).await?,
                Next::Broken => return Err(StoreError::Corrupt { what: "an entry of a conversation" }),
            }
        }
        let frame = self.page.pop_front();
        if self.page.is_empty() {
            self.page = VecDeque::new();
        }
        Ok(frame)
    }

    /// Reads what the feed has no more, or never had.
    async fn read_page(&mut self) -> Result<(), StoreError> {
        let piece = history::read(&self.feed.store, &self.feed.conversation, self.after, self.fits).await?;
        if let Some(first) = piece.entries.first().filter(|_| piece.gap) {
            let gap = json!({"from": self.after.to_string(), "to": first.id}).to_string();
            let bytes = frame::event_of(Some("gap"), None, &gap);
            self.page.push_back(Frame { id: self.after, bytes, ends: None });
        }
        let frames: Vec<Frame> = piece.entries.iter().map(Frame::of).collect::<Result<_, _>>()?;
        self.fits = fitting(frames.iter().map(Frame::weight));
        self.page.extend(frames);
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
        metrics::gauge!("omni_relay_sse_readers").increment(1);
        Self
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        metrics::gauge!("omni_relay_sse_readers").decrement(1);
    }
}
