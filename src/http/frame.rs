//! An entry as the bytes of a server-sent event: written once, and shared by all who read it.

use bytes::Bytes;

use super::history;
use super::position::EntryId;
use crate::model::{EntryType, PromptId};
use crate::store::StoreError;
use crate::store::conversation::Stored;

/// A comment: shows that the connection lives.
pub(super) const ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// One entry, ready to be sent. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) id: EntryId,
    pub(super) bytes: Bytes,
    /// The prompt that the entry ends.
    pub(super) ends: Option<PromptId>,
}

impl Frame {
    pub(super) fn of(entry: &Stored) -> Result<Self, StoreError> {
        let terminal = EntryType::parse(&entry.kind).is_some_and(EntryType::is_terminal);
        let event = entry.fields.iter().find(|(name, _)| name == "id").map(|(_, id)| id);
        let ends = event.filter(|_| terminal).and_then(|id| id.split(':').next()?.parse().ok());
        let id = entry.id.parse().map_err(history::unreadable)?;
        Ok(Self { id, bytes: event_of(Some(&entry.kind), Some(&entry.id), entry.event.get()), ends })
    }

    pub(super) fn weight(&self) -> usize {
        self.bytes.len()
    }
}

/// The event's text. Its data may have line breaks; a type with one ends there.
pub(super) fn event_of(kind: Option<&str>, id: Option<&str>, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + 96);
    let fields = [("event", kind), ("id", id)];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?.lines().next().unwrap_or_default())));
    for (name, value) in fields.chain(data.lines().map(|line| ("data", line))) {
        text.extend([name, ": ", value, "\n"]);
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_fields_and_an_empty_line() {
        let text = |kind, id, data| String::from_utf8(event_of(kind, id, data).to_vec()).unwrap();
        assert_eq!(text(Some("gap"), None, "{}"), "event: gap\ndata: {}\n\n");
        assert_eq!(text(None, Some("7-1"), ""), "id: 7-1\n\n");
        assert_eq!(text(Some("a\nb"), Some("7-1"), "{\n}"), "event: a\nid: 7-1\ndata: {\ndata: }\n\n");
    }
}
