//! settle and bury: a prompt ends, or is kept; either way its conversation goes on.

use std::time::Duration;

use super::delivery::{Delivery, Settled};
use super::publish::Published;
use super::record::Record;
use super::script::{Move, script, with_keys};
use super::submit::inbox_entry;
use super::{Store, StoreError};
use crate::model::{Conversation, DeadLetter, Entry, Finding, Phase, PromptId};
use crate::runtime::millis;

static SETTLE: Move = script!("settle");
static TELL: Move = script!("tell");
static BURY: Move = script!("bury");

/// A free slot outlives its conversation's stream by this.
const SLOT_LONGER: Duration = Duration::from_hours(24);

/// A prompt whose terminal entry is out.
#[derive(Debug)]
pub struct Ending {
    /// Which prompt.
    pub prompt_id: PromptId,
    /// Its conversation.
    pub conversation: Conversation,
    /// Its job, where there is one.
    pub job_id: Option<String>,
    /// Omni's conversation, where it is known by now.
    pub conversation_id: Option<String>,
    /// The entry that stands in the conversation's stream.
    pub published: Published,
    /// The phase it ends in.
    pub phase: Phase,
    /// The fields for `answers`.
    pub fields: Vec<(&'static str, String)>,
}

/// What a script's keys depend on: read by the script itself, passed to it, and passed again when it changed.
#[derive(Default)]
struct Read {
    /// The prompt that is next in the conversation.
    heir: String,
    /// Omni's conversation.
    conversation_id: String,
}

impl Read {
    fn again(words: &[String]) -> Option<Self> {
        match words {
            [tag, heir, conversation_id] if tag == "again" => {
                Some(Self { heir: heir.clone(), conversation_id: conversation_id.clone() })
            }
            _ => None,
        }
    }
}

impl Store {
    /// The terminal entry is out: ends the prompt, hands its conversation on, feeds `answers`, settles the delivery.
    /// Safe to repeat.
    pub async fn settle(&self, delivery: &Delivery, ending: &Ending, now: u64) -> Result<Settled, StoreError> {
        let mut read = Read { conversation_id: ending.conversation_id.clone().unwrap_or_default(), ..Read::default() };
        loop {
            let words = self.try_settle(delivery, ending, now, &read).await?;
            match Read::again(&words) {
                Some(changed) => read = changed,
                None => return Settled::from_words(&words),
            }
        }
    }

    async fn try_settle(
        &self,
        delivery: &Delivery,
        ending: &Ending,
        now: u64,
        Read { heir, conversation_id }: &Read,
    ) -> Result<Vec<String>, StoreError> {
        let (keys, policy) = (&self.keys, &self.policy);
        let (id, tenant) = (ending.prompt_id.to_string(), ending.conversation.tenant());
        let mut call = with_keys(
            &SETTLE,
            &[
                &keys.prompt(&id),
                &keys.slot(&ending.conversation),
                &keys.waiting(&ending.conversation),
                &keys.deadlines,
                &keys.inbox,
                &keys.answers,
                &keys.prompts,
                &keys.turns,
                &keys.ready(tenant.as_str()),
                &keys.prompt(heir),
                &keys.job(ending.job_id.as_deref().unwrap_or_default()),
                &keys.alias(conversation_id),
                &keys.dead,
                &keys.letter(&id),
                &keys.backlog,
                &keys.ended,
            ],
        );
        call.arg(&id).arg(delivery.id()).arg(delivery.consumer()).arg(ending.phase.as_str());
        call.arg(ending.phase.sources()).arg(now).arg(tenant.as_str()).arg(heir).arg(policy.window);
        call.arg(millis(policy.retention)).arg(millis(policy.retention + SLOT_LONGER));
        call.arg(policy.answers_len).arg(millis(policy.answers_age)).arg(&ending.published.entry);
        call.arg(ending.conversation.as_str()).arg(conversation_id);
        for (name, value) in &ending.fields {
            call.arg(*name).arg(value);
        }
        self.words(&call).await
    }

    /// An entry that ends nothing stands: feeds `answers`, settles the delivery. After a crash in between it may come twice,
    /// under the same id. Where another entry stands, `answers` gets nothing.
    pub async fn tell(&self, delivery: &Delivery, entry: &Entry, published: &Published) -> Result<Settled, StoreError> {
        let mut call = with_keys(&TELL, &[&self.keys.inbox, &self.keys.answers]);
        call.arg(delivery.id()).arg(delivery.consumer()).arg(self.policy.answers_len);
        if published.kind == entry.kind {
            for (name, value) in entry.fields() {
                call.arg(name).arg(value);
            }
        }
        Settled::from_words(&self.words(&call).await?)
    }

    /// Keeps what cannot be done: the letter, the conversation's next prompt, what readers are told, the delivery's end.
    /// `record` is the prompt's, when there is one; `finding` is what its readers are owed.
    pub async fn bury(
        &self,
        delivery: &Delivery,
        letter: &DeadLetter,
        record: Option<&Record>,
        finding: Option<&Finding>,
    ) -> Result<Settled, StoreError> {
        let mut read = Read::default();
        if let Some(conversation_id) = record.and_then(|record| record.conversation_id.as_ref()) {
            read.conversation_id.clone_from(conversation_id);
        }
        let phases = Phase::Dead.sources();
        loop {
            let words = self.try_bury(Some(delivery), letter, record, finding, (&phases, &read)).await?;
            match Read::again(&words) {
                Some(changed) => read = changed,
                None => return Settled::from_words(&words),
            }
        }
    }

    /// Keeps a prompt nobody holds a delivery of, if it still is in the phase in which the record was read. Answers whether
    /// it was.
    pub async fn bury_seen(&self, letter: &DeadLetter, record: &Record, finding: &Finding) -> Result<bool, StoreError> {
        let mut read = Read { conversation_id: record.conversation_id.clone().unwrap_or_default(), ..Read::default() };
        let phases = Phase::list(|phase| phase == record.phase && phase.may_become(Phase::Dead));
        loop {
            let words = self.try_bury(None, letter, Some(record), Some(finding), (&phases, &read)).await?;
            match Read::again(&words) {
                Some(changed) => read = changed,
                None => return Ok(words.first().is_some_and(|word| word == "buried")),
            }
        }
    }

    async fn try_bury(
        &self,
        delivery: Option<&Delivery>,
        letter: &DeadLetter,
        record: Option<&Record>,
        finding: Option<&Finding>,
        (phases, Read { heir, conversation_id }): (&str, &Read),
    ) -> Result<Vec<String>, StoreError> {
        let keys = &self.keys;
        let id = record.map(|record| record.id.to_string()).unwrap_or_default();
        let tenant = record.map(Record::tenant).unwrap_or_default();
        let (slot, waiting) = match record {
            Some(record) => (keys.slot(&record.conversation), keys.waiting(&record.conversation)),
            None => (keys.dead.clone(), keys.dead.clone()),
        };
        let mut call = with_keys(
            &BURY,
            &[
                &keys.prompt(&id),
                &slot,
                &waiting,
                &keys.deadlines,
                delivery.map_or(&keys.inbox, |delivery| delivery.stream().key(keys)),
                &keys.inbox,
                &keys.dead,
                &keys.letter(&letter.id),
                &keys.prompts,
                &keys.turns,
                &keys.ready(tenant.as_str()),
                &keys.prompt(heir),
                &keys.alias(conversation_id),
                &keys.backlog,
            ],
        );
        let finding = finding.cloned().map(inbox_entry).transpose()?.unwrap_or_default();
        let history = serde_json::to_string(&letter.history).unwrap_or_default();
        call.arg(&id).arg(delivery.map(Delivery::id).unwrap_or_default());
        call.arg(delivery.map(Delivery::consumer).unwrap_or_default()).arg(letter.at).arg(tenant.as_str()).arg(heir);
        call.arg(self.policy.window).arg(finding).arg(&letter.id).arg(phases).arg(history);
        call.arg(record.map(|record| record.conversation.as_str()).unwrap_or_default()).arg(conversation_id);
        for (name, value) in letter_fields(letter, delivery.and_then(Delivery::fields)) {
            call.arg(name).arg(value);
        }
        self.words(&call).await
    }
}

/// `fields` is the whole entry, where `original` is not all of it.
fn letter_fields(letter: &DeadLetter, fields: Option<String>) -> Vec<(&'static str, Vec<u8>)> {
    let text = |value: &str| value.as_bytes().to_vec();
    let mut kept = vec![
        ("v", text("1")),
        ("id", text(&letter.id)),
        ("stage", text(letter.stage)),
        ("reason", text(letter.reason.as_str())),
        ("error", text(&letter.error)),
        ("attempts", text(&letter.history.len().to_string())),
        ("fingerprint", text(&letter.fingerprint())),
        ("original", letter.original.clone()),
    ];
    let optional = [
        ("promptId", letter.prompt_id.map(|id| id.to_string())),
        ("jobId", letter.job_id.clone()),
        ("conversation", letter.conversation.as_ref().map(ToString::to_string)),
        ("tenant", (!letter.tenant.is_none()).then(|| letter.tenant.as_str().to_owned())),
        ("fields", fields),
    ];
    kept.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?.into_bytes()))));
    kept
}
