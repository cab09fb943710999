//! replay and discard: what a person decides about a dead letter. Both change only one that is open, and only as it was
//! read: of several who decide at once, one does.

use serde_json::{Map, Value};

use utoipa::ToSchema;

use super::delivery::Stream;
use super::letters::WholeLetter;
use super::record::Record;
use super::script::{Move, script, unexpected, with_keys};
use super::submit::inbox_entry;
use super::{Store, StoreError};
use crate::model::{Conversation, Finding, Phase, Prompt};
use crate::runtime::millis;

static REPLAY: Move = script!("replay");
static DISCARD: Move = script!("discard");

/// What became of a decision about a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = DecisionOutcome, rename_all = "snake_case")]
pub enum Decided {
    /// It is under way again.
    Replayed,
    /// It is gone; its prompt's readers will be told.
    Discarded,
    /// Nothing changed: it was replayed before, and is under way.
    AlreadyReplayed,
    /// Nothing changed: it was discarded before.
    AlreadyDiscarded,
    /// Nothing changed: its prompt's end is known.
    AlreadySettled,
}

impl Decided {
    /// For programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
            Self::AlreadyReplayed => "already_replayed",
            Self::AlreadyDiscarded => "already_discarded",
            Self::AlreadySettled => "already_settled",
        }
    }

    /// Whether this decision changed something.
    pub const fn is_new(self) -> bool {
        matches!(self, Self::Replayed | Self::Discarded)
    }
}

/// Where a letter goes back to.
#[derive(Debug, Clone)]
pub enum Back {
    /// Its prompt is to be asked, by a new create; or looked at, where Omni has a job of it.
    Ask,
    /// Its prompt is to be asked as this.
    AskInstead(Box<Prompt>, Map<String, Value>),
    /// An entry with these fields goes back to the stream of its stage.
    Entry(Vec<(String, Vec<u8>)>),
}

/// Who decides, and when.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// For the audit.
    pub who: &'a str,
    /// Unix milliseconds.
    pub now: u64,
    /// When to look at the prompt next, unix milliseconds.
    pub next_check: u64,
    /// The run that decides, where one does.
    pub run: Option<&'a str>,
    /// For the audit, as JSON; may be empty.
    pub details: &'a str,
}

impl Decision<'_> {
    const fn flag(&self) -> &'static str {
        if self.run.is_some() { "1" } else { "" }
    }
}

/// Whether a letter is as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It died again meanwhile: read it again.
    Changed,
    /// It is not to be asked any more: Omni has a job of it.
    Asked,
    /// `None`: nothing is known of it.
    Done(Option<Decided>),
}

impl Store {
    /// Puts a letter back. Safe to repeat.
    pub async fn replay(
        &self,
        letter: &WholeLetter,
        record: Option<&Record>,
        back: Back,
        decision: Decision<'_>,
    ) -> Result<Tried, StoreError> {
        let keys = &self.keys;
        let shown = &letter.letter;
        let stream = Stream::of_stage(&shown.stage).unwrap_or(Stream::Prompts);
        let tenant = shown.owner();
        let (slot, waiting) = self.line_of(shown.conversation.as_ref());
        let mut call = with_keys(
            &REPLAY,
            &[
                &keys.prompt(&shown.id),
                &slot,
                &waiting,
                &keys.deadlines,
                stream.key(keys),
                &keys.dead,
                &keys.letter(&shown.id),
                &keys.prompts,
                &keys.turns,
                &keys.ready(tenant.as_str()),
                &keys.audit,
                &keys.backlog,
                self.counter(&decision).as_str(),
            ],
        );
        let user = record.and_then(|record| record.request.as_ref()).map(|prompt| prompt.user.identity());
        call.arg(&shown.id).arg(letter.version.0).arg(letter.version.1);
        call.arg(if matches!(back, Back::Entry(_)) { "entry" } else { "ask" })
            .arg(decision.now)
            .arg(decision.next_check);
        call.arg(tenant.as_str()).arg(self.policy.window).arg(user.unwrap_or_default());
        call.arg(shown.conversation.as_ref().map(Conversation::as_str).unwrap_or_default());
        // Once there is a job there are no files any more.
        let asked = record.filter(|record| record.job_id.is_none()).and_then(|record| record.request.as_ref());
        let attached = asked.and_then(|prompt| prompt.attached).map_or(0, |attached| attached.bytes);
        call.arg(millis(self.policy.retention)).arg(decision.who).arg(attached);
        call.arg(decision.details).arg(decision.flag());
        let (request, metadata) = match &back {
            Back::AskInstead(prompt, metadata) => {
                let request = serde_json::to_string(prompt).map_err(|_| StoreError::Corrupt { what: "a prompt" })?;
                (request, Value::from(metadata.clone()).to_string())
            }
            Back::Ask | Back::Entry(_) => Default::default(),
        };
        call.arg(request).arg(metadata);
        if let Back::Entry(fields) = back {
            for (name, value) in fields {
                call.arg(name).arg(value);
            }
        }
        let words = self.words(&call).await?;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["replayed", _] => Ok(Tried::Done(Some(Decided::Replayed))),
            ["changed"] => Ok(Tried::Changed),
            ["asked"] => Ok(Tried::Asked),
            ["not", closed, phase] => Ok(Tried::Done(already(closed, phase))),
            _ => Err(unexpected()),
        }
    }

    /// Removes a letter; `finding` is what its prompt's readers are owed. Safe to repeat.
    pub async fn discard(
        &self,
        letter: &WholeLetter,
        finding: Option<Finding>,
        decision: Decision<'_>,
    ) -> Result<Tried, StoreError> {
        let keys = &self.keys;
        let shown = &letter.letter;
        let finding = finding.map(inbox_entry).transpose()?.unwrap_or_default();
        let (slot, _) = self.line_of(shown.conversation.as_ref());
        let mut call = with_keys(
            &DISCARD,
            &[
                &keys.prompt(&shown.id),
                &slot,
                &keys.deadlines,
                &keys.inbox,
                &keys.dead,
                &keys.letter(&shown.id),
                &keys.audit,
                self.counter(&decision).as_str(),
            ],
        );
        call.arg(&shown.id).arg(decision.now).arg(decision.next_check).arg(finding);
        call.arg(millis(self.policy.retention)).arg(decision.who).arg(shown.owner().as_str());
        call.arg(shown.conversation.as_ref().map(Conversation::as_str).unwrap_or_default());
        call.arg(letter.version.0).arg(letter.version.1).arg(decision.details).arg(decision.flag());
        let words = self.words(&call).await?;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["discarded"] => Ok(Tried::Done(Some(Decided::Discarded))),
            ["changed"] => Ok(Tried::Changed),
            ["not", closed, phase] => Ok(Tried::Done(already(closed, phase))),
            _ => Err(unexpected()),
        }
    }

    /// What became of a letter that is not open; `None` when nothing is known of it, or it is open.
    pub async fn closed_letter(&self, id: &str) -> Result<Option<Decided>, StoreError> {
        let mut closed = redis::cmd("HGET");
        closed.arg(self.keys.letter(id)).arg("closed");
        let mut phase = redis::cmd("HGET");
        phase.arg(self.keys.prompt(id)).arg("phase");
        let (closed, phase): (Option<String>, Option<String>) =
            (self.redis.query(&closed).await?, self.redis.query(&phase).await?);
        Ok(already(&closed.unwrap_or_default(), &phase.unwrap_or_default()))
    }

    /// What counts the decision. Without a run nothing does, and any key stands there.
    fn counter(&self, decision: &Decision<'_>) -> String {
        let [.., run] = self.keys.run(decision.run.unwrap_or_default());
        run
    }

    fn line_of(&self, conversation: Option<&Conversation>) -> (String, String) {
        match conversation {
            Some(conversation) => (self.keys.slot(conversation), self.keys.waiting(conversation)),
            None => (self.keys.dead.clone(), self.keys.dead.clone()),
        }
    }
}

/// A letter that is closed, by what closed it, or overtaken, by its prompt's phase.
fn already(closed: &str, phase: &str) -> Option<Decided> {
    match (closed, phase.parse::<Phase>().ok()) {
        (_, Some(phase)) if phase.is_terminal() => Some(Decided::AlreadySettled),
        ("replayed", _) => Some(Decided::AlreadyReplayed),
        ("discarded", _) => Some(Decided::AlreadyDiscarded),
        (_, Some(Phase::Finishing)) => Some(Decided::AlreadySettled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_closed_a_letter_is_told_until_its_prompt_ends() {
        assert_eq!(already("replayed", "sending"), Some(Decided::AlreadyReplayed));
        assert_eq!(already("replayed", "finishing"), Some(Decided::AlreadyReplayed));
        assert_eq!(already("replayed", "answered"), Some(Decided::AlreadySettled));
        assert_eq!(already("", "finishing"), Some(Decided::AlreadySettled), "an answer overtakes it");
        assert_eq!(already("discarded", ""), Some(Decided::AlreadyDiscarded));
        assert_eq!(already("", "queued"), None, "a prompt that never died");
        assert_eq!(already("", ""), None);
    }
}
