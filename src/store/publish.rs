//! publish: an entry becomes visible, once.

use super::script::{Move, script, unexpected, with_keys};
use super::{Store, StoreError};
use crate::model::{Conversation, Entry, EntryType, PromptId};
use crate::runtime::millis;

static PUBLISH: Move = script!("publish");
static PROGRESS: Move = script!("progress");

/// Most entries of a conversation's stream.
const LONGEST: usize = 10_000;

/// The entry that stands: the one that was to be published, or the one that came before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its type.
    pub kind: EntryType,
    /// Its id in the conversation's stream.
    pub entry: String,
    /// Whether it is the one that was given.
    pub new: bool,
}

impl Store {
    /// Writes an entry unless the prompt's entries have come as far already. Answers the entry that stands, and settling
    /// records *that*. `payload` is the full result where the entry only refers to it. Safe to repeat.
    pub async fn publish(&self, id: PromptId, entry: &Entry, payload: Option<&str>) -> Result<Published, StoreError> {
        let keys = &self.keys;
        let conversation = &entry.subject;
        let (stream, mark) = (keys.conversation(conversation), keys.done(conversation, id));
        let mut call = with_keys(&PUBLISH, &[&stream, &mark, &keys.payload(conversation, id)]);
        call.arg(entry.kind.as_str()).arg(entry.kind.rank()).arg(millis(self.policy.retention)).arg(LONGEST);
        call.arg(&keys.wake).arg(conversation.as_str()).arg(payload.unwrap_or_default());
        for (name, value) in entry.fields() {
            call.arg(name).arg(value);
        }
        // A settle may follow, and must find it wherever the master is by then.
        let words: Vec<String> = if matches!(entry.kind, EntryType::Accepted | EntryType::Submitted) {
            self.words(&call).await?
        } else {
            self.durably(&call, &keys.replicated_beside(conversation)).await?
        };
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["published", entry_id] => {
                metrics::counter!("omni_relay_entries_published_total", "type" => entry.kind.as_str()).increment(1);
                Ok(Published { kind: entry.kind, entry: (*entry_id).to_owned(), new: true })
            }
            ["refused", kind, entry_id] => {
                let kind = EntryType::parse(kind).ok_or_else(unexpected)?;
                Ok(Published { kind, entry: (*entry_id).to_owned(), new: false })
            }
            _ => Err(unexpected()),
        }
    }

    /// Writes how far a job is, unless as much, or a later entry, is out. Safe to repeat.
    pub async fn progress(&self, id: PromptId, iteration: usize, entry: &Entry) -> Result<(), StoreError> {
        let (keys, conversation, stands_for) = (&self.keys, &entry.subject, EntryType::Submitted);
        let (stream, mark) = (keys.conversation(conversation), keys.done(conversation, id));
        let mut call = with_keys(&PROGRESS, &[&stream, &mark, &keys.progress(conversation, id)]);
        call.arg(stands_for.as_str()).arg(stands_for.rank()).arg(millis(self.policy.retention)).arg(LONGEST);
        call.arg(&keys.wake).arg(conversation.as_str()).arg(iteration);
        for (name, value) in entry.fields() {
            call.arg(name).arg(value);
        }
        if self.reply(&call).await? {
            metrics::counter!("omni_relay_entries_published_total", "type" => entry.kind.as_str()).increment(1);
        }
        Ok(())
    }

    /// The id of a prompt's terminal entry in its conversation's stream, once it is out.
    pub async fn terminal_entry(
        &self,
        conversation: &Conversation,
        id: PromptId,
    ) -> Result<Option<(EntryType, String)>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.done(conversation, id));
        let mark: Option<String> = self.redis.query(&command).await?;
        let Some(mark) = mark else { return Ok(None) };
        let mut words = mark.split(' ').skip(1);
        let (Some(kind), Some(entry)) = (words.next().and_then(EntryType::parse), words.next()) else {
            return Err(StoreError::Corrupt { what: "a done mark" });
        };
        Ok(kind.is_terminal().then(|| (kind, entry.to_owned())))
    }

    /// Omni's result as it came, where it was stored beside the entry.
    pub async fn result(&self, conversation: &Conversation, id: PromptId) -> Result<Option<String>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.payload(conversation, id));
        self.redis.query(&command).await
    }
}
