//! A piece of a conversation's history, and whether something is missing before it.

use crate::model::Conversation;
use crate::store::conversation::Stored;
use crate::store::{Store, StoreError};

use super::position::{EntryId, NoPosition};

/// Entries after a position.
pub(super) struct Piece {
    /// Oldest first.
    pub(super) entries: Vec<Stored>,
    /// The last one's id; the position itself where there is none.
    pub(super) end: EntryId,
    /// What stood after the position may be lost: nothing as old as the position is kept.
    pub(super) gap: bool,
}

/// Reads at most `count` entries. Whether something was lost before them is asked after they were read: what was the
/// oldest then was kept while they were read.
pub(super) async fn read(
    store: &Store,
    conversation: &Conversation,
    after: EntryId,
    count: usize,
) -> Result<Piece, StoreError> {
    let entries = store.entries(conversation, &after.to_string(), count).await?;
    let Some(last) = entries.last() else { return Ok(Piece { entries, end: after, gap: false }) };
    let end = last.id.parse().map_err(unreadable)?;
    let mut gap = false;
    if after != EntryId::ZERO {
        let oldest = store.entries(conversation, &EntryId::ZERO.to_string(), 1).await?.pop();
        let oldest = oldest.map(|entry| entry.id.parse::<EntryId>()).transpose().map_err(unreadable)?;
        gap = oldest.is_none_or(|oldest| oldest > after);
    }
    Ok(Piece { entries, end, gap })
}

/// The newest entry's id; before every entry where there is none.
pub(super) async fn newest(store: &Store, conversation: &Conversation) -> Result<EntryId, StoreError> {
    let bounds = store.bounds(conversation).await?;
    bounds.map_or(Ok(EntryId::ZERO), |(_, newest)| newest.parse()).map_err(unreadable)
}

pub(super) fn unreadable(_: NoPosition) -> StoreError {
    StoreError::Corrupt { what: "an entry's id" }
}
