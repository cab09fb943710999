//! What is new in a conversation, read from Redis once for all its readers in this process.
//!
//! A feed has a window: the newest entries, every one between its two ends, as frames that readers share. A task for each
//! conversation that has readers extends it when the process' one subscription says that there is something, looks from
//! time to time in case that was lost, and empties it when nothing came for a while. A reader whose place is before the
//! window reads from Redis by itself until it has caught up; a slow one falls behind the window in the same way, and holds
//! up nobody.
//!
//! Readers wait for their feed alone: what else they have to look at, a stop or other rights, comes to them by it too.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::frame::Frame;
use super::history;
use super::position::EntryId;
use crate::model::Conversation;
use crate::runtime::traces::{self, SpanKind};
use crate::runtime::{Lifecycle, Stop};
use crate::store::conversation::Stored;
use crate::store::wake::{Wake, Watch};
use crate::store::{Store, StoreError};

/// Most entries of a window, and their most bytes.
const LONGEST: usize = 256;
const LARGEST: usize = 1024 * 1024;
/// Entries read at once.
pub(super) const PAGE: usize = 100;
/// Longest time between two looks where nothing wakes. A window that nothing new came to for as long is emptied.
const LOOK: Duration = Duration::from_secs(15);

/// The feeds that have readers.
pub struct Feeds {
    store: Store,
    wake: Wake,
    lifecycle: Lifecycle,
    open: Open,
}

type Open = Arc<Mutex<HashMap<Conversation, Weak<Feed>>>>;

/// One conversation's.
pub(super) struct Feed {
    pub(super) store: Store,
    pub(super) conversation: Conversation,
    pub(super) stop: Stop,
    window: Mutex<Window>,
    news: watch::Sender<()>,
}

struct Window {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Every entry behind `start`, up to `end`, is in it.
    start: EntryId,
    end: EntryId,
    /// An entry cannot be read: nobody gets past it.
    broken: bool,
}

/// What follows a reader's place.
pub(super) enum Next {
    /// This.
    Frame(Frame),
    /// Nothing, until there are news.
    Nothing,
    /// More than the window has.
    Older,
    /// An entry that cannot be read.
    Broken,
}

impl Feeds {
    /// Feeds on `store`, woken by `wake`; their tasks belong to `lifecycle`.
    pub fn new(store: Store, wake: Wake, lifecycle: Lifecycle) -> Self {
        Self { store, wake, lifecycle, open: Arc::default() }
    }

    /// Has every reader look at what it goes by.
    pub fn nudge(&self) {
        for feed in lock(&self.open).values().filter_map(Weak::upgrade) {
            feed.news.send_replace(());
        }
    }

    /// The feed of a conversation, which begins with what comes from now on. It ends when nobody holds it.
    pub(super) async fn of(&self, conversation: &Conversation) -> Result<Arc<Feed>, StoreError> {
        if let Some(feed) = lock(&self.open).get(conversation).and_then(Weak::upgrade) {
            return Ok(feed);
        }
        // First the watch, then the look: what comes in between wakes.
        let watch = self.wake.watch(conversation);
        let end = history::newest(&self.store, conversation).await?;
        let mut open = lock(&self.open);
        if let Some(feed) = open.get(conversation).and_then(Weak::upgrade) {
            return Ok(feed);
        }
        let window = Window { frames: VecDeque::new(), bytes: 0, start: end, end, broken: false };
        let feed = Arc::new(Feed {
            store: self.store.clone(),
            conversation: conversation.clone(),
            stop: self.lifecycle.stop_handle(),
            window: Mutex::new(window),
            news: watch::Sender::default(),
        });
        open.insert(conversation.clone(), Arc::downgrade(&feed));
        let (weak, stop) = (Arc::downgrade(&feed), feed.stop.clone());
        let (open, conversation) = (self.open.clone(), conversation.clone());
        drop(self.lifecycle.spawn_child("feed", async move {
            tokio::select! {
                () = follow(&weak, watch) => {}
                () = stop.requested() => {
                    weak.upgrade().inspect(|feed| { feed.news.send_replace(()); });
                }
            }
            let mut open = lock(&open);
            if open.get(&conversation).is_some_and(|feed| feed.ptr_eq(&weak)) {
                open.remove(&conversation);
            }
        }));
        Ok(feed)
    }
}

/// Extends a feed for as long as somebody holds it.
async fn follow(feed: &Weak<Feed>, watch: Watch) {
    let mut woken = true;
    loop {
        let changed = watch.changed(LOOK);
        let Some(feed) = feed.upgrade() else { return };
        match feed.extend().await {
            Err(error) if !error.passes() => {
                warn!(conversation.id = %feed.conversation, error = %error, "cannot go on reading a conversation");
                lock(&feed.window).broken = true;
                feed.news.send_replace(());
                return;
            }
            Ok(false) if !woken => lock(&feed.window).empty(),
            Ok(_) | Err(_) => {}
        }
        drop(feed);
        woken = changed.await;
    }
}

impl Feed {
    /// Tells when there is something to look at, from now on.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// What follows `after`.
    pub(super) fn next(&self, after: EntryId) -> Next {
        let window = lock(&self.window);
        if after < window.start {
            return Next::Older;
        }
        let next = window.frames.partition_point(|frame| frame.id <= after);
        match window.frames.get(next) {
            Some(frame) => Next::Frame(frame.clone()),
            None if window.broken => Next::Broken,
            None => Next::Nothing,
        }
    }

    /// Reads what is new; whether there was anything.
    async fn extend(&self) -> Result<bool, StoreError> {
        let mut any = false;
        loop {
            let end = lock(&self.window).end;
            let piece = history::read(&self.store, &self.conversation, end, PAGE).await?;
            if piece.entries.is_empty() {
                return Ok(any);
            }
            any = true;
            let frames = piece.entries.iter().map(Frame::of).collect::<Result<Vec<_>, _>>()?;
            piece
                .entries
                .iter()
                .filter_map(Stored::trace)
                .for_each(|trace| traces::mark("deliver", SpanKind::Consumer, trace));
            lock(&self.window).push(frames, piece.gap);
            self.news.send_replace(());
        }
    }
}

impl Window {
    fn empty(&mut self) {
        (self.frames, self.bytes, self.start) = (VecDeque::new(), 0, self.end);
    }

    fn push(&mut self, frames: Vec<Frame>, gap: bool) {
        if gap {
            // What lies between is for each reader to find out: a window has no holes.
            self.end = frames.last().map_or(self.end, |last| last.id);
            return self.empty();
        }
        for frame in frames {
            self.end = frame.id;
            self.bytes += frame.bytes.len();
            self.frames.push_back(frame);
        }
        while self.frames.len() > LONGEST || self.bytes > LARGEST {
            let Some(oldest) = self.frames.pop_front() else { return };
            self.bytes -= oldest.bytes.len();
            self.start = oldest.id;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frames(ids: std::ops::Range<u64>, size: usize) -> Vec<Frame> {
        let frame =
            |id: u64| Frame { id: id.to_string().parse().unwrap(), bytes: Bytes::from(vec![0; size]), ends: None };
        ids.map(frame).collect()
    }

    fn window() -> Window {
        Window { frames: VecDeque::new(), bytes: 0, start: EntryId::ZERO, end: EntryId::ZERO, broken: false }
    }

    fn ends(window: &Window) -> (String, String, usize) {
        (window.start.to_string(), window.end.to_string(), window.frames.len())
    }

    #[test]
    fn a_window_is_bounded_and_whole() {
        let mut window = window();
        window.push(frames(1..301, 10), false);
        assert_eq!(ends(&window), ("44-0".to_owned(), "300-0".to_owned(), LONGEST));
        window.push(frames(301..304, LARGEST / 2), false);
        assert_eq!(ends(&window), ("301-0".to_owned(), "303-0".to_owned(), 2));
        window.push(frames(304..305, LARGEST + 1), false);
        assert_eq!(ends(&window), ("304-0".to_owned(), "304-0".to_owned(), 0), "its readers read it by themselves");
        assert_eq!(window.bytes, 0);
    }

    #[test]
    fn what_was_trimmed_away_leaves_no_hole() {
        let mut window = window();
        window.push(frames(1..4, 10), false);
        window.push(frames(9..11, 10), true);
        assert_eq!(ends(&window), ("10-0".to_owned(), "10-0".to_owned(), 0));
    }
}
