//! Work that this process holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::Serialize;
use tokio::sync::{Mutex, MutexGuard};

use super::keys::Keys;
use super::script::{Move, script, unexpected, with_keys};
use super::{Store, StoreError};
use crate::model::{Cause, Envelope, PromptId, Submit};
use crate::runtime::millis;

static DONE: Move = script!("done");
static RENEW: Move = script!("renew");
static LEASE: Move = script!("lease");
static DEFER: Move = script!("defer");

/// The streams that stages read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Pushed prompts.
    Intake,
    /// Prompts to submit.
    Prompts,
    /// What happened.
    Inbox,
}

impl Stream {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Intake, Self::Prompts, Self::Inbox];

    /// Its key.
    pub fn key(self, keys: &Keys) -> &str {
        match self {
            Self::Intake => &keys.intake,
            Self::Prompts => &keys.prompts,
            Self::Inbox => &keys.inbox,
        }
    }

    /// The field that its stage reads.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Intake => "data",
            Self::Prompts | Self::Inbox => "entry",
        }
    }

    /// The stream of a stage; `None` for a word that is none.
    pub fn of_stage(stage: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.stage() == stage)
    }

    /// The stage that reads it: a label of metrics, and part of a dead letter.
    pub const fn stage(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Prompts => "submit",
            Self::Inbox => "process",
        }
    }
}

/// One entry that is pending for a consumer of this process.
#[must_use = "a delivery that nobody settles is delivered again"]
#[derive(Debug)]
pub struct Delivery {
    pub(super) stream: Stream,
    pub(super) id: String,
    pub(super) consumer: Arc<str>,
    pub(super) deliveries: u64,
    pub(super) fields: HashMap<String, Vec<u8>>,
    pub(super) in_hand: Mutex<()>,
}

impl Delivery {
    /// The entry's id in its stream.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who holds it.
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// Where it came from.
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// How often it was delivered, this time included.
    pub const fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Held by a handler that knows what nobody else can find out: it goes on also when the delivery is lost to another
    /// consumer. Whoever drops handlers waits for it.
    pub async fn in_hand(&self) -> MutexGuard<'_, ()> {
        self.in_hand.lock().await
    }

    /// A field's bytes.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name).map(Vec::as_slice)
    }

    /// The entry's fields as JSON, `[[name, base64 of the value]]`; `None` where it is what its stage reads and nothing else.
    pub(super) fn fields(&self) -> Option<String> {
        if self.fields.len() == 1 && self.fields.contains_key(self.stream.field()) {
            return None;
        }
        let fields: Vec<(&str, String)> =
            self.fields.iter().map(|(name, value)| (name.as_str(), BASE64.encode(value))).collect();
        serde_json::to_string(&fields).ok()
    }

    /// What a dead letter keeps of it: the one field of our own entries, or all fields of a foreign one as JSON.
    pub fn original(&self) -> Vec<u8> {
        match self.fields.get("entry").or_else(|| self.fields.get("data")) {
            Some(bytes) if self.fields.len() == 1 => bytes.clone(),
            _ => {
                let text: HashMap<&str, String> = self
                    .fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned()))
                    .collect();
                serde_json::to_vec(&text).unwrap_or_default()
            }
        }
    }
}

/// Until when an entry waits, and why.
#[derive(Debug, Clone, Copy)]
pub struct Wait<'a> {
    /// Unix milliseconds.
    pub now: u64,
    /// When it comes back, unix milliseconds.
    pub until: u64,
    /// Why.
    pub why: Why<'a>,
}

/// Why an entry waits.
#[derive(Debug, Clone, Copy)]
pub enum Why<'a> {
    /// It cannot go on.
    Waits(Cause),
    /// This attempt failed, with this error, which holds no data of the customer.
    Failed(u32, &'a str),
}

/// Whether a move on a delivery took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It did, and the delivery is gone.
    Yes,
    /// The delivery belongs to another consumer by now: nothing was changed.
    Lost,
}

impl Settled {
    pub(super) fn from_words(words: &[String]) -> Result<Self, StoreError> {
        match words.first().map(String::as_str) {
            Some("lost") => Ok(Self::Lost),
            Some(_) => Ok(Self::Yes),
            None => Err(unexpected()),
        }
    }
}

impl Store {
    /// Nothing more to do: ack and delete.
    pub async fn done(&self, delivery: &Delivery) -> Result<Settled, StoreError> {
        let mut call = with_keys(&DONE, &[delivery.stream.key(&self.keys)]);
        call.arg(&delivery.id).arg(delivery.consumer());
        Settled::from_words(&self.words(&call).await?)
    }

    /// Still being worked on: nobody may claim it for another while.
    pub async fn renew(&self, delivery: &Delivery) -> Result<Settled, StoreError> {
        self.renew_as(delivery, "").await
    }

    /// As [`Store::renew`], and whoever has it next has it for the first time.
    pub async fn forgive(&self, delivery: &Delivery) -> Result<Settled, StoreError> {
        self.renew_as(delivery, "0").await
    }

    async fn renew_as(&self, delivery: &Delivery, deliveries: &str) -> Result<Settled, StoreError> {
        let mut call = with_keys(&RENEW, &[delivery.stream.key(&self.keys)]);
        call.arg(&delivery.id).arg(delivery.consumer()).arg(deliveries);
        Settled::from_words(&self.words(&call).await?)
    }

    /// Takes or renews the right to be the only reader of pushed prompts, whose order matters; a life of zero gives it back.
    /// Whether `holder` has it.
    pub async fn lease(&self, holder: &str, life: Duration) -> Result<bool, StoreError> {
        self.lease_at(&self.keys.intake_lease, holder, life).await
    }

    pub(super) async fn lease_at(&self, key: &str, holder: &str, life: Duration) -> Result<bool, StoreError> {
        let mut call = with_keys(&LEASE, &[key]);
        call.arg(holder).arg(millis(life));
        self.reply(&call).await
    }

    /// Later: the entry waits in `due` and comes back as `envelope`. The record of `prompt`, where there is one, says why.
    pub async fn defer<W: Serialize>(
        &self,
        delivery: &Delivery,
        prompt: Option<PromptId>,
        wait: &Wait<'_>,
        envelope: &Envelope<W>,
    ) -> Result<Settled, StoreError> {
        let entry = serde_json::to_string(envelope).map_err(|_| StoreError::Corrupt { what: "an envelope" })?;
        let keys = &self.keys;
        // A prompt waits once, and is found there by its id: who expires or cancels it takes it out.
        let submit: Option<Envelope<Submit>> =
            (delivery.stream == Stream::Prompts).then(|| serde_json::from_str(&entry).ok()).flatten();
        let member = submit.map_or_else(|| delivery.id.clone(), |submit| submit.work.prompt_id.to_string());
        let record = keys.prompt(&prompt.map(|id| id.to_string()).unwrap_or_default());
        let mut call = with_keys(&DEFER, &[delivery.stream.key(keys), &keys.due, &keys.due_entries, &record]);
        call.arg(&delivery.id).arg(delivery.consumer()).arg(wait.until).arg(due_member(delivery.stream, &member));
        call.arg(entry).arg(wait.now).arg(delivery.stream.stage());
        match wait.why {
            Why::Waits(cause) => call.arg(cause.as_str()).arg("").arg(""),
            Why::Failed(attempt, error) => call.arg(Cause::Retry.as_str()).arg(attempt).arg(error),
        };
        Settled::from_words(&self.words(&call).await?)
    }
}

/// What names an entry in `due`: `submit:<promptId>`, otherwise `<stage>:<entry>`.
pub(super) fn due_member(stream: Stream, id: &str) -> String {
    format!("{}:{id}", stream.stage())
}
