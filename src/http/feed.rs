//! What is new in a conversation, read from Redis once for all its readers in this process.
//!
//! A feed has a window: the newest entries, every one between its two ends, as frames that readers share. A task for
//! each conversation that has readers begins it with the last page, extends it when the process' one subscription says
//! that there is something, looks from time to time in case that was lost, and empties it when nothing came for a
//! while. A reader whose place is before the window reads from Redis by itself until it has caught up; a slow one falls
//! behind the window in the same way, and holds up nobody.
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
/// Entries read at once: before anybody knows how large they are, and at most.
pub(super) const FEW: usize = 4;
const PAGE: usize = 100;
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
    /// Every entry behind `start`, up to `end`, is in it. It has not begun while nothing can follow `start`.
    start: EntryId,
    end: EntryId,
    /// Nothing older was kept when it began: who starts at the beginning finds all in it.
    whole: bool,
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

    /// Whether somebody reads the conversation here.
    pub(super) fn has(&self, conversation: &Conversation) -> bool {
        lock(&self.open).get(conversation).is_some_and(|feed| feed.strong_count() > 0)
    }

    /// The feed of a conversation. It ends when nobody holds it.
    pub(super) fn of(&self, conversation: &Conversation) -> Arc<Feed> {
        let mut open = lock(&self.open);
        if let Some(feed) = open.get(conversation).and_then(Weak::upgrade) {
            return feed;
        }
        // First the watch, then the look: what comes in between wakes.
        let watch = self.wake.watch(conversation);
        let feed = Arc::new(Feed {
            store: self.store.clone(),
            conversation: conversation.clone(),
            stop: self.lifecycle.stop_handle(),
            window: Mutex::new(Window::new()),
            news: watch::Sender::default(),
        });
        open.insert(conversation.clone(), Arc::downgrade(&feed));
        let (weak, stop) = (Arc::downgrade(&feed), feed.stop.clone());
        let (open, conversation) = (self.open.clone(), conversation.clone());
        drop(self.lifecycle.spawn_child("feed", async move {
            tokio::select! {
                () = follow(&weak, watch) => {}
                () = stop.requested() => {
                    if let Some(feed) = weak.upgrade() {
                        feed.news.send_replace(());
                    }
                }
            }
            let mut open = lock(&open);
            if open.get(&conversation).is_some_and(|feed| feed.ptr_eq(&weak)) {
                open.remove(&conversation);
            }
        }));
        feed
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
        lock(&self.window).next(after)
    }

    /// Fills the window with the last page.
    async fn begin(&self) -> Result<(), StoreError> {
        let page = match self.last(FEW).await {
            Ok((false, few)) => match fitting(few.iter().map(Frame::weight)) {
                more if more > FEW => self.last(more).await,
                _ => Ok((false, few)),
            },
            page => page,
        };
        let (whole, frames) = match page {
            Err(error) if error.passes() => return Err(error),
            // Whoever stands before what cannot be read will find it.
            Err(_) => (false, Vec::new()),
            Ok(page) => page,
        };
        let end = match frames.last() {
            Some(last) => last.id,
            None if whole => EntryId::ZERO,
            None => history::newest(&self.store, &self.conversation).await?,
        };
        lock(&self.window).begin(frames, end, whole);
        self.news.send_replace(());
        Ok(())
    }

    /// At most `count` of the newest entries, and whether these are all.
    async fn last(&self, count: usize) -> Result<(bool, Vec<Frame>), StoreError> {
        let entries = self.store.newest(&self.conversation, count).await?;
        let frames = entries.iter().map(Frame::of).collect::<Result<_, _>>()?;
        Ok((entries.len() < count, frames))
    }

    /// Reads what is new; whether there was anything.
    async fn extend(&self) -> Result<bool, StoreError> {
        let mut any = false;
        if lock(&self.window).start == EntryId::LAST {
            self.begin().await?;
            any = true;
        }
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
    fn new() -> Self {
        let (start, end) = (EntryId::LAST, EntryId::ZERO);
        Self { frames: VecDeque::new(), bytes: 0, start, end, whole: false, broken: false }
    }

    fn begin(&mut self, frames: Vec<Frame>, end: EntryId, whole: bool) {
        (self.start, self.end, self.whole) = (frames.first().map_or(end, |first| first.id), end, whole);
        self.push(frames, false);
    }

    fn next(&self, after: EntryId) -> Next {
        if after < self.start && !(self.whole && after == EntryId::ZERO) {
            return Next::Older;
        }
        let next = self.frames.partition_point(|frame| frame.id <= after);
        match self.frames.get(next) {
            Some(frame) => Next::Frame(frame.clone()),
            None if self.broken => Next::Broken,
            None => Next::Nothing,
        }
    }

    fn empty(&mut self) {
        (self.frames, self.bytes, self.start, self.whole) = (VecDeque::new(), 0, self.end, false);
    }

    fn push(&mut self, frames: Vec<Frame>, gap: bool) {
        if gap {
            // What lies between is for each reader to find out: a window has no holes.
            self.end = frames.last().map_or(self.end, |last| last.id);
            return self.empty();
        }
        if let Some(first) = frames.first().filter(|_| self.end == EntryId::ZERO) {
            // There was nothing. Whether that was so from the beginning, or for having been trimmed away, is not known.
            self.start = first.id;
        }
        for frame in frames {
            self.end = frame.id;
            self.bytes += frame.bytes.len();
            self.frames.push_back(frame);
        }
        while self.frames.len() > LONGEST || self.bytes > LARGEST {
            let Some(oldest) = self.frames.pop_front() else { return };
            self.bytes -= oldest.bytes.len();
            (self.start, self.whole) = (oldest.id, false);
        }
    }
}

/// How many entries of such weights, in bytes, to read at once: what they weigh passes through Redis's one connection in one
/// piece, and waits here for readers who are slow.
pub(super) fn fitting(weights: impl ExactSizeIterator<Item = usize>) -> usize {
    let count = weights.len();
    (LARGEST * count / weights.sum::<usize>().max(1)).clamp(1, PAGE)
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
        let mut window = Window::new();
        window.begin(Vec::new(), EntryId::ZERO, true);
        window
    }

    fn ends(window: &Window) -> (String, String, usize) {
        (window.start.to_string(), window.end.to_string(), window.frames.len())
    }

    #[test]
    fn what_is_read_at_once_is_bounded_by_what_it_weighs() {
        assert_eq!(fitting([100; 4].into_iter()), PAGE);
        assert_eq!(fitting([256 * 1024; 4].into_iter()), 4);
        assert_eq!(fitting([2 * LARGEST].into_iter()), 1);
        assert_eq!(fitting([].into_iter()), 1);
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
    fn a_window_begins_with_what_is_there() {
        let next = |window: &Window, after: &str| match window.next(after.parse().unwrap()) {
            Next::Frame(frame) => frame.id.to_string(),
            Next::Nothing => "nothing".to_owned(),
            Next::Older => "older".to_owned(),
            Next::Broken => "broken".to_owned(),
        };
        let mut window = Window::new();
        assert_eq!([next(&window, "0"), next(&window, "9")], ["older", "older"], "it has not begun");
        window.begin(frames(5..8, 10), "7".parse().unwrap(), true);
        // Whether something stood before 5 only its reader is to be told.
        let nexts = ["0", "4", "5", "7"].map(|after| next(&window, after));
        assert_eq!(nexts, ["5-0", "older", "6-0", "nothing"]);
        window.push(frames(8..9, LARGEST), false);
        assert_eq!([next(&window, "0"), next(&window, "7")], ["older", "8-0"], "it is whole no more");
        let mut empty = self::window();
        assert_eq!(next(&empty, "4"), "nothing");
        empty.push(frames(5..6, 10), false);
        assert_eq!([next(&empty, "0"), next(&empty, "4")], ["5-0", "older"], "what was there before is not known");
        let mut page = Window::new();
        page.begin(frames(5..8, 10), "7".parse().unwrap(), false);
        assert_eq!([next(&page, "0"), next(&page, "5")], ["older", "6-0"]);
    }

    #[test]
    fn what_was_trimmed_away_leaves_no_hole() {
        let mut window = window();
        window.push(frames(1..4, 10), false);
        window.push(frames(9..11, 10), true);
        assert_eq!(ends(&window), ("10-0".to_owned(), "10-0".to_owned(), 0));
    }
}
