//! A thread of jobs, and what the last one asked.

use jiff::Timestamp;
use uuid::Uuid;

use super::answers::Question;

pub(super) struct Conversation {
    pub(super) id: Uuid,
    /// Who opened it; none: the owner of the key.
    pub(super) user: Option<Uuid>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// Job ids in the order of their creation.
    pub(super) jobs: Vec<Uuid>,
    /// What the last complete job asked; a follow-up changes only what it names.
    pub(super) question: Option<Question>,
}

impl Conversation {
    pub(super) fn new(user: Option<Uuid>, now: Timestamp) -> Self {
        Self { id: Uuid::new_v4(), user, created: now, updated: now, jobs: Vec::new(), question: None }
    }

    /// Where people see it: another host than the API's, as with Omni.
    pub(super) fn chat_url(id: Uuid) -> String {
        format!("https://acme.omni.example/chat/{id}")
    }
}
