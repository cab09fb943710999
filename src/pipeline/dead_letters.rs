//! dead letters: takes what a person decided. Leaves behind the letter's work in the stage it died in, or the end of its
//! prompt. Safe to repeat, and for several at once, because a letter is decided on once, as it was read.

use std::time::Duration;

use serde_json::Value;
use tracing::info;

use crate::model::letter::Letter;
use crate::model::work::VERSION;
use crate::model::{Conversation, Envelope, Event, Finding, PromptId, Verdict};
use crate::runtime::{Clock, failpoint};
use crate::store::dead::{Back, Decided, Decision, Tried};
use crate::store::delivery::Stream;
use crate::store::letters::WholeLetter;
use crate::store::{Store, StoreError};

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

    /// Puts a letter back to the stage it died in, its attempts and its prompt's clocks reset; `who` is for the audit.
    /// `None` when nothing is known of such a letter.
    pub async fn replay(&self, id: &str, who: &str) -> Result<Option<Decided>, StoreError> {
        loop {
            let Some(letter) = self.store.letter(id).await? else { return self.store.closed_letter(id).await };
            let record = match prompt_id(&letter.letter) {
                Some(id) => self.store.record(id).await?,
                None => None,
            };
            let back = back(&letter, record.is_some());
            if let Tried::Done(decided) = self.store.replay(&letter, record.as_ref(), back, self.decision(who)).await? {
                failpoint::hit("dead.replayed").await;
                note("replay", id, who, decided);
                return Ok(decided);
            }
        }
    }

    /// Removes a letter; the readers of its prompt are told `omni.failed`. `None` when nothing is known of such a letter.
    pub async fn discard(&self, id: &str, who: &str) -> Result<Option<Decided>, StoreError> {
        let Some(letter) = self.store.letter(id).await? else { return self.store.closed_letter(id).await };
        let shown = &letter.letter;
        let finding = prompt_id(shown).zip(shown.conversation.clone()).map(discarded);
        let decided = self.store.discard(&letter, finding, self.decision(who)).await?;
        failpoint::hit("dead.discarded").await;
        note("discard", id, who, decided);
        Ok(decided)
    }

    fn decision<'a>(&self, who: &'a str) -> Decision<'a> {
        let now = self.clock.now_ms();
        let check = u64::try_from(self.check_after.as_millis()).unwrap_or(u64::MAX);
        Decision { who, now, next_check: now.saturating_add(check) }
    }
}

fn note(action: &'static str, id: &str, who: &str, decided: Option<Decided>) {
    let outcome = decided.map_or("unknown", Decided::as_str);
    info!(letter = id, who, action, outcome, "dead letter decided");
    metrics::counter!("omni_relay_decisions_total", "action" => action, "outcome" => outcome).increment(1);
}

fn prompt_id(letter: &Letter) -> Option<PromptId> {
    letter.prompt_id.as_deref()?.parse().ok()
}

fn discarded((prompt_id, conversation): (PromptId, Conversation)) -> Finding {
    let message = "an operator discarded the prompt".to_owned();
    Finding { prompt_id, conversation, verdict: Verdict::Failed { code: "discarded".to_owned(), message } }
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
