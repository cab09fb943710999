//! dead letters: takes what a person decided. Leaves behind the letter's work in the stage it died in, or the end of its
//! prompt. Safe to repeat, and for several at once, because a letter is decided on once, as it was read.

use std::time::Duration;

use futures_util::try_join;
use serde_json::{Value, json};
use tracing::info;

use crate::model::letter::Letter;
use crate::model::run::{Action, Run};
use crate::model::work::VERSION;
use crate::model::{Conversation, Defaults, Edit, Envelope, Event, Finding, Invalid, PromptId, Verdict};
use crate::runtime::{Clock, failpoint, millis};
use crate::store::dead::{Back, Decided, Decision, Tried};
use crate::store::delivery::Stream;
use crate::store::letters::WholeLetter;
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// Why a letter was not changed and put back.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Omni was asked, or nobody can read what there was to ask.
    #[error("there is nothing of it that can be changed")]
    NotEditable,
    /// It would be no prompt.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Replays and discards.
#[derive(Clone)]
pub struct DeadLetters {
    store: Store,
    clock: Clock,
    check_after: Duration,
}

impl DeadLetters {
    /// `check_after` is when to look at a replayed prompt first.
    pub const fn new(store: Store, clock: Clock, check_after: Duration) -> Self {
        Self { store, clock, check_after }
    }

    /// An open letter with all that is known of it.
    pub async fn show(&self, id: &str) -> Result<Option<WholeLetter>, StoreError> {
        let Some((mut letter, record)) = self.read(id).await? else { return Ok(None) };
        letter.trace_id = record.and_then(|record| record.trace_id());
        Ok(Some(letter))
    }

    /// Puts a letter back to the stage it died in, its attempts and its prompt's clocks reset; `who` is for the audit.
    /// `None` when nothing is known of such a letter.
    pub async fn replay(&self, id: &str, who: &str) -> Result<Option<Decided>, StoreError> {
        self.decide(Action::Replay, id, who).await
    }

    /// Removes a letter; the readers of its prompt are told `omni.failed`. `None` when nothing is known of such a letter.
    pub async fn discard(&self, id: &str, who: &str) -> Result<Option<Decided>, StoreError> {
        self.decide(Action::Discard, id, who).await
    }

    async fn decide(&self, action: Action, id: &str, who: &str) -> Result<Option<Decided>, StoreError> {
        let decided = loop {
            let Some((letter, record)) = self.read(id).await? else { break self.store.closed_letter(id).await? };
            let tried = self.try_to(action, &letter, record.as_ref(), self.decision(who)).await?;
            if let Tried::Done(decided) = tried {
                break decided;
            }
        };
        let outcome = outcome(decided);
        info!(letter = id, who, action = action.as_str(), outcome, "dead letter decided");
        Ok(decided)
    }

    /// Puts a prompt back, changed: one that Omni was never asked, or one that was pushed and not accepted. `defaults` are
    /// the lists that bound who changes it. The audit has the names of what changed.
    pub async fn replay_edited(
        &self,
        id: &str,
        edit: &Edit,
        defaults: Defaults<'_>,
        who: &str,
    ) -> Result<Option<Decided>, EditError> {
        let details = json!({"fields": edit.names()}).to_string();
        let decision = Decision { details: &details, ..self.decision(who) };
        loop {
            let Some((letter, record)) = self.read(id).await? else { return Ok(self.store.closed_letter(id).await?) };
            let back = edited(&letter, record.as_ref(), edit, defaults)?;
            match self.store.replay(&letter, record.as_ref(), back, decision).await? {
                Tried::Changed => {}
                Tried::Asked => return Err(EditError::NotEditable),
                Tried::Done(decided) => {
                    noted(Action::Replay, decided).await;
                    info!(letter = id, who, action = "replay", outcome = outcome(decided), "dead letter decided");
                    return Ok(decided);
                }
            }
        }
    }

    /// Decides on a letter that a run found: not if it is not what the run is about any more. What comes of it is counted
    /// with the run.
    pub(super) async fn decide_in(&self, run: &Run, id: &str) -> Result<(), StoreError> {
        let details = json!({"run": run.id}).to_string();
        let decision = Decision { run: Some(&run.id), details: &details, ..self.decision(&run.who) };
        loop {
            let found = self.read(id).await?.filter(|(letter, _)| run.order.filter.fits(&letter.letter));
            let Some((letter, record)) = found else { return self.store.count_already(&run.id).await };
            let tried = self.try_to(run.order.action, &letter, record.as_ref(), decision).await?;
            if matches!(tried, Tried::Done(_)) {
                return Ok(());
            }
        }
    }

    /// An open letter, and its prompt's record where there is one.
    async fn read(&self, id: &str) -> Result<Option<(WholeLetter, Option<Record>)>, StoreError> {
        let record = async {
            match id.parse() {
                Ok(id) => self.store.record(id).await,
                Err(_) => Ok(None),
            }
        };
        let (letter, record) = try_join!(self.store.letter(id), record)?;
        Ok(letter.map(|letter| (letter, record)))
    }

    async fn try_to(
        &self,
        action: Action,
        letter: &WholeLetter,
        record: Option<&Record>,
        decision: Decision<'_>,
    ) -> Result<Tried, StoreError> {
        let tried = match action {
            Action::Replay => self.store.replay(letter, record, back(letter, record.is_some()), decision).await?,
            Action::Discard => {
                let shown = &letter.letter;
                let finding = prompt_id(shown).zip(shown.conversation.clone()).map(discarded);
                self.store.discard(letter, finding, decision).await?
            }
        };
        if let Tried::Done(decided) = tried {
            noted(action, decided).await;
        }
        Ok(tried)
    }

    fn decision<'a>(&self, who: &'a str) -> Decision<'a> {
        let now = self.clock.now_ms();
        let check = millis(self.check_after);
        Decision { who, now, next_check: now.saturating_add(check), run: None, details: "" }
    }
}

async fn noted(action: Action, decided: Option<Decided>) {
    failpoint::hit(if action == Action::Replay { "dead.replayed" } else { "dead.discarded" }).await;
    let labels = [("action", action.as_str()), ("outcome", outcome(decided))];
    metrics::counter!("omni_relay_decisions_total", &labels).increment(1);
}

fn outcome(decided: Option<Decided>) -> &'static str {
    decided.map_or("unknown", Decided::as_str)
}

fn prompt_id(letter: &Letter) -> Option<PromptId> {
    letter.prompt_id.as_deref()?.parse().ok()
}

fn discarded((prompt_id, conversation): (PromptId, Conversation)) -> Finding {
    let message = "an operator discarded the prompt".to_owned();
    Finding::new(prompt_id, conversation, Verdict::Failed { code: "discarded".to_owned(), message })
}

/// A prompt that could not be asked is asked. Anything else goes back as the entry it was, ours without its attempts.
fn back(letter: &WholeLetter, has_prompt: bool) -> Back {
    let stream = Stream::of_stage(&letter.letter.stage);
    let is_end = stream == Some(Stream::Inbox) && !tells_a_delay(&letter.original);
    if has_prompt && !is_end {
        return Back::Ask;
    }
    let ours = |name: &str| stream != Some(Stream::Intake) && name == Stream::Inbox.field();
    let again = |(name, value): (String, Vec<u8>)| if ours(&name) { (name, afresh(value)) } else { (name, value) };
    Back::Entry(letter.entry().into_iter().map(again).collect())
}

/// The same, changed.
fn edited(
    letter: &WholeLetter,
    record: Option<&Record>,
    edit: &Edit,
    defaults: Defaults<'_>,
) -> Result<Back, EditError> {
    match (back(letter, record.is_some()), record) {
        (Back::Ask, Some(Record { request: Some(prompt), metadata, job_id: None, .. })) => {
            let (prompt, metadata) = edit.prompt(prompt, metadata, defaults)?;
            Ok(Back::AskInstead(Box::new(prompt), metadata))
        }
        (Back::Entry(mut fields), None) if Stream::of_stage(&letter.letter.stage) == Some(Stream::Intake) => {
            let data = fields.iter_mut().find(|(name, _)| name == Stream::Intake.field());
            let (_, data) = data.ok_or(EditError::NotEditable)?;
            *data = edit.pushed(data, defaults)?;
            Ok(Back::Entry(fields))
        }
        _ => Err(EditError::NotEditable),
    }
}

/// Whether it is the notice of an earlier death: replaying that would end nothing.
fn tells_a_delay(original: &[u8]) -> bool {
    let envelope: Result<Envelope<Event>, _> = serde_json::from_slice(original);
    envelope.is_ok_and(
        |envelope| matches!(envelope.work, Event::Finding(finding) if matches!(finding.verdict, Verdict::Delayed { .. })),
    )
}

/// The entry without its attempts; bytes that nobody can read as they are.
fn afresh(original: Vec<u8>) -> Vec<u8> {
    let Ok(Value::Object(mut entry)) = serde_json::from_slice(&original) else { return original };
    if entry.get("v").and_then(Value::as_u64) != Some(VERSION.into()) {
        return original;
    }
    for name in ["history", "waitingSince", "waits"] {
        entry.remove(name);
    }
    serde_json::to_vec(&entry).unwrap_or(original)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Submit;

    #[test]
    fn an_entry_is_tried_afresh() {
        let id = PromptId::new(jiff::Timestamp::UNIX_EPOCH);
        let mut envelope = Envelope::new(Submit { prompt_id: id });
        let fresh = serde_json::to_value(&envelope).unwrap();
        envelope.failed(1, "timed out".to_owned());
        envelope.waited(2);
        let again = afresh(serde_json::to_vec(&envelope).unwrap());
        assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), fresh);
    }

    #[test]
    fn what_nobody_can_read_goes_back_byte_by_byte() {
        for bytes in [&b"\xff\x00{"[..], b"{not json", b"[1, 2]", b"{\"prompt\": \"a\",  \"history\": 1}"] {
            assert_eq!(afresh(bytes.to_vec()), bytes);
        }
    }
}
