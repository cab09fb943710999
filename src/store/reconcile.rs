//! The moves of `deadlines`: take what is due, look again later, intend a cancellation, conclude.

use super::delivery::{Stream, due_member};
use super::record::Record;
use super::script::{Move, script, unexpected, with_keys};
use super::submit::inbox_entry;
use super::{Store, StoreError};
use crate::model::{Conversation, Finding, Phase, PromptId};

static TAKE: Move = script!("take");
static RECHECK: Move = script!("recheck");
static INTEND: Move = script!("intend");
static CONCLUDE: Move = script!("conclude");

/// Prompts whose check is due, for this replica alone until the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub prompts: Vec<PromptId>,
    /// When the next one is due, unix milliseconds.
    pub next: Option<u64>,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recheck {
    /// Unix milliseconds.
    pub at: u64,
    /// Looks in a row that found no job.
    pub misses: u32,
}

/// What became of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concluded {
    /// It is in the inbox, and the prompt is `finishing`.
    Yes,
    /// The prompt is in another phase, or lost: nothing was changed.
    Not(Option<Phase>),
}

impl Store {
    /// Takes at most `limit` prompts whose check is due, until `lease` (unix milliseconds). Several replicas share them.
    pub async fn take_checks(&self, now: u64, limit: usize, lease: u64) -> Result<Taken, StoreError> {
        let mut call = with_keys(&TAKE, &[&self.keys.deadlines]);
        call.arg(now).arg(limit).arg(lease);
        let words = self.words(&call).await?;
        let Some((next, ids)) = words.split_first() else { return Err(unexpected()) };
        let prompts = ids.iter().map(|id| id.parse().map_err(|_| unexpected())).collect::<Result<_, _>>()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scores are unix milliseconds")]
        let next = next.parse::<f64>().ok().map(|score| score as u64);
        Ok(Taken { prompts, next })
    }

    /// Looks again at a prompt as it was `seen`, unless it moved on. Answers whether it did not.
    pub async fn recheck(&self, seen: &Record, recheck: Recheck, now: u64) -> Result<bool, StoreError> {
        let cancelled = if seen.cancel_requested.is_some() { "1" } else { "" };
        self.try_recheck(seen.id, recheck, &as_seen(seen.phase), cancelled, now).await
    }

    /// Ends the checks of a prompt that has no record, or needs none.
    pub async fn uncheck(&self, id: PromptId) -> Result<(), StoreError> {
        self.try_recheck(id, Recheck { at: 0, misses: 0 }, &Phase::list(|_| false), "", 0).await.map(|_| ())
    }

    async fn try_recheck(
        &self,
        id: PromptId,
        recheck: Recheck,
        phases: &str,
        cancelled: &str,
        now: u64,
    ) -> Result<bool, StoreError> {
        let id = id.to_string();
        let over = Phase::list(|phase| phase.is_terminal() || phase == Phase::Dead);
        let mut call = with_keys(&RECHECK, &[&self.keys.prompt(&id), &self.keys.deadlines]);
        call.arg(&id).arg(recheck.at).arg(over).arg(phases).arg(recheck.misses).arg(cancelled).arg(now);
        Ok(self.words(&call).await?.first().is_some_and(|word| word == "again"))
    }

    /// The prompt's time is over while Omni works on it: stored before Omni is asked to cancel. `false`: it moved on.
    pub async fn intend_expiry(&self, id: PromptId, now: u64) -> Result<bool, StoreError> {
        let mut call = with_keys(&INTEND, &[&self.keys.prompt(&id.to_string())]);
        call.arg(now).arg(Phase::list(|phase| phase == Phase::Submitted));
        self.reply(&call).await
    }

    /// A finding of our own ends a prompt that was `seen` in this phase. Safe to repeat: it then finds another phase.
    pub async fn conclude(
        &self,
        seen: &Record,
        finding: Finding,
        now: u64,
        next_check: u64,
    ) -> Result<Concluded, StoreError> {
        let keys = &self.keys;
        let (id, tenant) = (seen.id.to_string(), seen.tenant());
        let mut call = with_keys(
            &CONCLUDE,
            &[
                &keys.prompt(&id),
                &keys.inbox,
                &keys.deadlines,
                &keys.waiting(&seen.conversation),
                &keys.ready(tenant.as_str()),
                &keys.turns,
                &keys.due,
                &keys.due_entries,
            ],
        );
        call.arg(&id).arg(now).arg(as_seen(seen.phase)).arg(inbox_entry(finding)?).arg(next_check);
        call.arg(tenant.as_str()).arg(due_member(Stream::Prompts, &id));
        let words = self.words(&call).await?;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["concluded"] => Ok(Concluded::Yes),
            ["phase", phase] => Ok(Concluded::Not(phase.parse().ok())),
            _ => Err(unexpected()),
        }
    }

    /// Omni's conversation that this one continues, once it is known.
    pub async fn omnis_conversation(&self, conversation: &Conversation) -> Result<Option<String>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys.slot(conversation)).arg("conversationId");
        self.redis.query(&command).await
    }
}

/// A prompt that waits may become the next of its conversation meanwhile: what was found of it still holds. One that has
/// ended has ended.
fn as_seen(phase: Phase) -> String {
    Phase::list(|now| match phase {
        Phase::Waiting | Phase::Queued => matches!(now, Phase::Waiting | Phase::Queued),
        _ => now == phase && phase.may_become(Phase::Finishing),
    })
}
