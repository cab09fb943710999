//! The moves around Omni's create: turn, send, unsend, sent, refuse.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::delivery::{Delivery, Settled};
use super::record::Record;
use super::script::{Call, Move, script, unexpected, with_keys};
use super::{Store, StoreError};
use crate::model::{Cause, Envelope, Event, Finding, Phase, PromptId};
use crate::runtime::millis;

static TURN: Move = script!("turn");
static SEND: Move = script!("send");
static UNSEND: Move = script!("unsend");
static SENT: Move = script!("sent");
static REFUSE: Move = script!("refuse");

/// How long the answer to `send` is asked for, and the pause in between.
const INSIST: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);

/// Who sends a create, once: what it marked is told from what another handler of the same prompt did.
#[derive(Debug)]
pub struct Sender(String);

impl Default for Sender {
    fn default() -> Self {
        Self(format!("{:016x}", fastrand::u64(..)))
    }
}

/// Whether a create may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Send {
    /// Yes, now, by this caller alone; with the conversation of Omni's that it continues.
    Go(Option<String>),
    /// No: the prompt is not queued.
    Not(Phase),
    /// No: somebody asked to cancel it.
    Cancelled,
    /// No: there is no record.
    Missing,
    /// No: the delivery belongs to another consumer.
    Lost,
}

/// Omni's 201.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Omni's job.
    pub job_id: &'a str,
    /// Omni's conversation.
    pub conversation_id: &'a str,
    /// Where a person looks at it.
    pub chat_url: Option<&'a str>,
}

/// What recording a 201 found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// Recorded; the prompt is in this phase.
    In(Phase),
    /// The prompt has another job already.
    Other(String),
    /// The job belongs to another prompt.
    Taken(String),
    /// There is no record.
    Missing,
}

impl Store {
    /// Moves prompts into the stream, tenant by tenant in turn, each as often as its weight says, until `count` stand there
    /// unread.
    pub async fn take_turns(&self, count: usize, weight: impl Fn(&str) -> u32) -> Result<usize, StoreError> {
        let mut moved = 0;
        while moved < count {
            let mut first = redis::cmd("ZRANGE");
            first.arg(&self.keys.turns).arg(0).arg(0);
            let tenants: Vec<String> = self.redis.query(&first).await?;
            let Some(tenant) = tenants.first() else { break };
            let mut call = with_keys(&TURN, &[&self.keys.turns, &self.keys.ready(tenant), &self.keys.prompts]);
            call.arg(tenant).arg(1.0 / f64::from(weight(tenant).max(1))).arg(count);
            match self.words(&call).await?.first().map(String::as_str) {
                Some("moved") => moved += 1,
                Some("changed") => {}
                _ => break,
            }
        }
        Ok(moved)
    }

    /// `queued → sending`, for the holder of the delivery alone. An answer that is lost on the way is asked for again, as
    /// whoever finds `sending` and is not its `sender` must not send. What kept it from being read, as the record in hand says, is
    /// written with it. Safe to repeat by the same sender, which has not sent yet.
    pub async fn send(
        &self,
        delivery: &Delivery,
        record: &Record,
        sender: &Sender,
        (key_id, user_id): (&str, Option<Uuid>),
        now: u64,
        next_check: u64,
    ) -> Result<Send, StoreError> {
        let keys = &self.keys;
        let id = record.id.to_string();
        let slot = keys.slot(&record.conversation);
        let mut call = with_keys(&SEND, &[&keys.prompt(&id), &slot, &keys.deadlines, &keys.prompts]);
        call.arg(&id).arg(delivery.id()).arg(delivery.consumer()).arg(now).arg(next_check).arg(key_id);
        call.arg(Phase::Sending.sources()).arg(&sender.0).arg(user_id.map(|id| id.to_string()).unwrap_or_default());
        call.arg(record.held.map_or("", Cause::as_str));
        let words = self.insist(&call, delivery, record.id, now, sender).await?;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["go", ""] => Ok(Send::Go(None)),
            ["go", conversation_id] => Ok(Send::Go(Some((*conversation_id).to_owned()))),
            ["phase", phase] => Ok(Send::Not(phase.parse().map_err(|()| unexpected())?)),
            ["cancelled"] => Ok(Send::Cancelled),
            ["missing"] => Ok(Send::Missing),
            ["lost"] => Ok(Send::Lost),
            _ => Err(unexpected()),
        }
    }

    /// `sending → queued`, by its sender: only where it is certain that Omni took nothing. The delivery stays the caller's; where
    /// it is not any more (claimed and ended meanwhile by somebody who found `sending`), the prompt is queued again. Answers
    /// whether somebody asked to cancel it meanwhile. Safe to repeat: what another sends by then stays as it is.
    pub async fn unsend(
        &self,
        delivery: &Delivery,
        id: PromptId,
        sender: &Sender,
        now: u64,
    ) -> Result<bool, StoreError> {
        let id = id.to_string();
        let mut call = with_keys(&UNSEND, &[&self.keys.prompt(&id), &self.keys.prompts]);
        call.arg(now).arg(delivery.id()).arg(delivery.consumer()).arg(id).arg(&sender.0);
        Ok(self.reply::<i64>(&call).await? == 2)
    }

    /// Until it is answered. Where too few replicas hold `sending` it is taken back: nothing was sent yet.
    async fn insist(
        &self,
        call: &Call<'_>,
        delivery: &Delivery,
        id: PromptId,
        now: u64,
        sender: &Sender,
    ) -> Result<Vec<String>, StoreError> {
        let give_up = Instant::now() + INSIST;
        loop {
            match self.durably(call, &self.keys.replicated).await {
                Err(StoreError::NotReplicated) => {
                    self.unsend(delivery, id, sender, now).await?;
                    return Err(StoreError::NotReplicated);
                }
                Err(error) if error.passes() && Instant::now() < give_up => sleep(AGAIN).await,
                other => return other,
            }
        }
    }

    /// Records Omni's job. Safe to repeat.
    pub async fn sent(&self, record: &Record, job: Job<'_>, now: u64, next_check: u64) -> Result<Recorded, StoreError> {
        let keys = &self.keys;
        let id = record.id.to_string();
        let (slot, alias) = (keys.slot(&record.conversation), keys.alias(job.conversation_id));
        let mut call = with_keys(&SENT, &[&keys.prompt(&id), &keys.job(job.job_id), &slot, &alias, &keys.deadlines]);
        call.arg(&id).arg(job.job_id).arg(job.conversation_id).arg(job.chat_url.unwrap_or_default());
        call.arg(now).arg(next_check).arg(Phase::Submitted.sources()).arg(record.conversation.as_str());
        call.arg(millis(self.policy.retention * 2));
        let words = self.words(&call).await?;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["recorded", phase] => Ok(Recorded::In(phase.parse().map_err(|()| unexpected())?)),
            ["other", job_id] => Ok(Recorded::Other((*job_id).to_owned())),
            ["taken", prompt_id] => Ok(Recorded::Taken((*prompt_id).to_owned())),
            ["missing"] => Ok(Recorded::Missing),
            _ => Err(unexpected()),
        }
    }

    /// The prompt will not be submitted: its end goes to the inbox, the delivery is done.
    pub async fn refuse(&self, delivery: &Delivery, finding: Finding, now: u64) -> Result<Settled, StoreError> {
        let keys = &self.keys;
        let record = keys.prompt(&finding.prompt_id.to_string());
        let entry = inbox_entry(finding)?;
        let mut call = with_keys(&REFUSE, &[&record, &keys.prompts, &keys.inbox]);
        call.arg(delivery.id()).arg(delivery.consumer()).arg(now).arg(entry).arg(Phase::Finishing.sources());
        Settled::from_words(&self.words(&call).await?)
    }
}

/// A finding as the inbox holds it.
pub(super) fn inbox_entry(finding: Finding) -> Result<String, StoreError> {
    serde_json::to_string(&Envelope::new(Event::Finding(finding)))
        .map_err(|_| StoreError::Corrupt { what: "a finding" })
}
