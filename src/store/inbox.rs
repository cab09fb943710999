//! receive and finish: what Omni said comes in, and takes effect on the record.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::budget::{Grant, Quota};
use super::delivery::Delivery;
use super::record::Record;
use super::script::{Move, script, unexpected, with_keys};
use super::{Store, StoreError};
use crate::model::{Envelope, Event, Phase, PromptId, Webhook};
use crate::runtime::millis;

static RECEIVE: Move = script!("receive");
static FINISH: Move = script!("finish");

/// How long a webhook is remembered.
const REMEMBERED: Duration = Duration::from_hours(72);
/// What of a record its prompt's end needs, in the order in which `finish` answers it.
const ENDING: [&str; 13] = [
    "phase",
    "jobId",
    "at:sending",
    "keyId",
    "conversation",
    "conversationId",
    "omniChatUrl",
    "metadata",
    "request",
    "traceparent",
    "at:accepted",
    "cancelRequested",
    "expiring",
];
/// Most entries that nobody understands.
const UNHANDLED: usize = 10_000;

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is in the inbox.
    Stored,
    /// It, or one that says the same, was there before.
    Duplicate,
}

/// Where a prompt stands when a final state of its job is known.
#[derive(Debug)]
pub enum Finish {
    /// It is `finishing` now: publish. Of its record this has what an end needs. With what the key's budget says of the next
    /// request, where it was asked.
    Go(Box<Record>, Option<Grant>),
    /// Published before.
    Terminal(Phase),
    /// The prompt has another job.
    Other(String),
    /// Its create is being recorded: look again soon.
    Recording,
    /// There is no record.
    Missing,
    /// The delivery belongs to somebody else, or to nobody.
    Lost,
}

impl Store {
    /// Stores a verified webhook, once.
    pub async fn receive(&self, webhook: Webhook) -> Result<Received, StoreError> {
        let keys = &self.keys;
        let job_id = webhook.job_id.to_string();
        let by_job = keys.seen_job(webhook.job_id, &webhook.state);
        let by_event = match &webhook.event_id {
            Some(id) => keys.seen_event(id),
            None => keys.seen_event(&hex::encode(Sha256::digest(&webhook.body))),
        };
        let entry = serde_json::to_string(&Envelope::new(Event::Webhook(webhook)))
            .map_err(|_| StoreError::Corrupt { what: "a webhook" })?;
        let mut call = with_keys(&RECEIVE, &[&keys.inbox, &by_event, &by_job]);
        call.arg(entry).arg(millis(REMEMBERED)).arg(job_id);
        let stored: bool = self.durably(&call, &keys.replicated).await?;
        Ok(if stored { Received::Stored } else { Received::Duplicate })
    }

    /// Keeps a valid event that nobody understands, for a person to look at.
    pub async fn unhandled(&self, body: &[u8]) -> Result<(), StoreError> {
        let mut command = redis::cmd("XADD");
        command.arg(&self.keys.unhandled).arg("MAXLEN").arg("~").arg(UNHANDLED).arg("*").arg("body").arg(body);
        self.redis.query(&command).await
    }

    /// A final state is known (of `job_id`, where a job is meant): no deadline touches the prompt any more. Adopts the job
    /// where the create's outcome was unknown, which it is not until `recording` after it was sent. Grants a request of the
    /// key `budget`, where that is the one that created the job. Safe to repeat.
    pub async fn finish(
        &self,
        from: Option<&Delivery>,
        (id, job_id): (PromptId, Option<&str>),
        now: u64,
        recording: Duration,
        budget: Option<(&str, Quota)>,
    ) -> Result<Finish, StoreError> {
        let keys = &self.keys;
        let text = id.to_string();
        let (record, job) = (keys.prompt(&text), keys.job(job_id.unwrap_or_default()));
        let (key_id, quota) = budget.unwrap_or_default();
        let [granted, _, _, state] = keys.budget(key_id);
        let mut call = with_keys(&FINISH, &[&record, &job, &keys.inbox, &granted, &state, &keys.deadlines]);
        call.arg(&text).arg(job_id.unwrap_or_default()).arg(now).arg(Phase::Finishing.sources());
        call.arg(millis(self.policy.retention * 2));
        call.arg(from.map(Delivery::id).unwrap_or_default()).arg(from.map(Delivery::consumer).unwrap_or_default());
        call.arg(millis(recording)).arg(key_id).arg(quota.limit).arg(millis(quota.window));
        let words: Vec<Option<String>> = self.reply(&call).await?;
        match words.iter().map_while(Option::as_deref).collect::<Vec<_>>().as_slice() {
            ["finishing", verdict, when, what, ..] => {
                let granted = (!verdict.is_empty()).then(|| Grant::from_words(&[verdict, when, what])).transpose()?;
                let fields = ENDING.into_iter().zip(words.into_iter().skip(4));
                let fields = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
                Ok(Finish::Go(Box::new(Record::parse(id, fields.collect())?), granted))
            }
            ["recording"] => Ok(Finish::Recording),
            ["terminal", phase] => Ok(Finish::Terminal(phase.parse().map_err(|()| unexpected())?)),
            ["other", job_id] => Ok(Finish::Other((*job_id).to_owned())),
            ["missing"] => Ok(Finish::Missing),
            ["lost"] => Ok(Finish::Lost),
            _ => Err(unexpected()),
        }
    }
}
