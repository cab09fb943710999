//! cancel: somebody does not want the answer any more.

use super::delivery::{Stream, due_member};
use super::record::Record;
use super::script::{Move, script, unexpected, with_keys};
use super::submit::inbox_entry;
use super::{Store, StoreError};
use crate::model::{Finding, Phase, Verdict};

static CANCEL: Move = script!("cancel");

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// Omni has nothing of it: its end is in the inbox.
    Ended,
    /// Omni may have it: marked, and to be looked at right away.
    Requested,
    /// Nothing changed: its end is known, or out.
    TooLate(Phase),
    /// There is no record.
    Missing,
}

impl Store {
    /// Cancels a prompt at any phase. Safe to repeat. `next_check` is for a prompt that nobody was to look at.
    pub async fn cancel(&self, record: &Record, who: &str, now: u64, next_check: u64) -> Result<Cancelled, StoreError> {
        let keys = &self.keys;
        let id = record.id.to_string();
        let finding = Finding::new(record.id, record.conversation.clone(), Verdict::Cancelled);
        let tenant = record.tenant();
        let mut call = with_keys(
            &CANCEL,
            &[
                &keys.prompt(&id),
                &keys.waiting(&record.conversation),
                &keys.deadlines,
                &keys.inbox,
                &keys.audit,
                &keys.ready(tenant.as_str()),
                &keys.turns,
                &keys.due,
                &keys.due_entries,
            ],
        );
        call.arg(&id).arg(now).arg(next_check).arg(inbox_entry(finding)?);
        call.arg(Phase::list(Phase::ends_when_cancelled)).arg(Phase::list(Phase::is_cancelled_at_omni)).arg(who);
        call.arg(tenant.as_str()).arg(due_member(Stream::Prompts, &id));
        let words = self.words(&call).await?;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["cancelled"] => Ok(Cancelled::Ended),
            ["requested"] => Ok(Cancelled::Requested),
            ["phase", phase] => Ok(Cancelled::TooLate(phase.parse().map_err(|()| unexpected())?)),
            ["missing"] => Ok(Cancelled::Missing),
            _ => Err(unexpected()),
        }
    }
}
