//! A conversation's entries as they come: in order, none left out, none twice.
//!
//! A tail holds no connection of its own: it looks when the process' one subscription says that there is something, and
//! from time to time in case that was lost. While Redis is away it keeps its reader and its place and says nothing; it
//! goes on where it was once Redis is back. The end is always clean, and the id of the last entry leads on from there.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::response::sse::Event;
use futures_util::{Stream, stream};
use serde_json::json;
use tracing::warn;

use super::Services;
use super::history;
use super::position::{EntryId, Start};
use crate::model::Conversation;
use crate::store::StoreError;
use crate::store::conversation::Stored;
use crate::store::wake::Watch;

/// Entries read at once.
const PAGE: usize = 100;

/// One reader's place in one conversation.
pub(super) struct Tail {
    services: Services,
    conversation: Conversation,
    watch: Watch,
    after: EntryId,
    read: VecDeque<Event>,
}

impl Tail {
    pub(super) async fn open(services: Services, conversation: Conversation, start: Start) -> Result<Self, StoreError> {
        let watch = services.wake.watch(&conversation);
        let mut read = VecDeque::new();
        let after = match start {
            Start::After(id) => id,
            Start::New => {
                let bounds = services.store.bounds(&conversation).await?;
                let newest =
                    bounds.map_or(Ok(EntryId::ZERO), |(_, newest)| newest.parse()).map_err(history::unreadable)?;
                // An id without data tells a browser where to go on and is no event: not even a break before the first
                // entry loses one.
                read.push_back(Event::default().id(newest.to_string()));
                newest
            }
        };
        let mut tail = Self { services, conversation, watch, after, read };
        tail.look().await?;
        Ok(tail)
    }

    /// Until the process stops, the reader goes, or an entry cannot be read.
    pub(super) fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut tail| async move { tail.next().await.map(|event| (Ok(event), tail)) })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(event);
            }
            let changed = self.watch.changed();
            match self.look().await {
                Ok(()) if !self.read.is_empty() => continue,
                Err(error) if !error.passes() => {
                    warn!(conversation.id = %self.conversation, error = %error, "cannot go on reading a conversation");
                    return None;
                }
                Ok(()) | Err(_) => {}
            }
            tokio::select! {
                () = changed => {}
                () = self.services.stop.requested() => return None,
            }
        }
    }

    /// Reads the next page.
    async fn look(&mut self) -> Result<(), StoreError> {
        let piece = history::read(&self.services.store, &self.conversation, self.after, PAGE).await?;
        if let Some(first) = piece.entries.first().filter(|_| piece.gap) {
            let gap = json!({"from": self.after.to_string(), "to": first.id});
            self.read.push_back(Event::default().event("gap").data(gap.to_string()));
        }
        self.read.extend(piece.entries.iter().map(event));
        self.after = piece.end;
        Ok(())
    }
}

/// A line break in the type would be the end of it; ours have none.
fn event(entry: &Stored) -> Event {
    let kind = entry.kind.replace(['\r', '\n'], " ");
    Event::default().event(kind).id(&entry.id).data(entry.event.get())
}
