//! A prompt's record.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::model::{Cause, Conversation, Phase, Prompt, PromptId, Tenant};
use crate::runtime::TraceContext;

/// What Redis knows of a prompt.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id.
    pub id: PromptId,
    /// Where its readers are.
    pub conversation: Conversation,
    /// Where it stands.
    pub phase: Phase,
    /// What to ask; gone once it is terminal.
    pub request: Option<Prompt>,
    /// The caller's, returned in every entry.
    pub metadata: Map<String, Value>,
    /// Omni's job.
    pub job_id: Option<String>,
    /// Omni's conversation.
    pub conversation_id: Option<String>,
    /// Where a person looks at it in Omni.
    pub chat_url: Option<String>,
    /// Which key asked.
    pub key_id: Option<String>,
    /// Omni's id of the user it was asked for; `None` for the key's own rights, and where version 0.1.0 asked.
    pub user_id: Option<Uuid>,
    /// The W3C trace context it was accepted under.
    pub traceparent: String,
    /// When it entered each phase it has been in, unix milliseconds.
    pub at: BTreeMap<Phase, u64>,
    accepted: Option<u64>,
    /// When somebody asked to cancel it, unix milliseconds.
    pub cancel_requested: Option<u64>,
    /// When it was replayed last, unix milliseconds: its deadlines run from then.
    pub replayed_at: Option<u64>,
    /// When its time was over while Omni worked on it, unix milliseconds.
    pub expiring: Option<u64>,
    /// Looks in a row at which Omni did not know its job.
    pub misses: u32,
    /// The terminal entry's id in the conversation's stream.
    pub entry: Option<String>,
    /// The prompt it came to wait behind, last of all.
    pub behind: Option<String>,
    /// What kept it from being read between its queueing and its sending.
    pub held: Option<Cause>,
    /// How long it waited where for what: stage, cause, milliseconds.
    pub waited: Vec<(String, Cause, u64)>,
    /// What it was put aside for last: stage, cause, and until when (unix milliseconds).
    pub waits: Option<(String, Cause, u64)>,
    /// Attempts that failed: stage, number, when (unix milliseconds), and the error.
    pub failed: Vec<(String, u32, u64, String)>,
}

impl Record {
    /// The trace it was accepted under.
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::parse(&self.traceparent)
    }

    /// The id of its trace, 32 hex digits.
    pub fn trace_id(&self) -> Option<String> {
        self.traceparent.split('-').nth(1).map(str::to_owned)
    }

    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        self.conversation.tenant()
    }

    /// When it was accepted, unix milliseconds.
    pub fn accepted_at(&self) -> u64 {
        self.accepted.or_else(|| self.at.values().copied().min()).unwrap_or_default()
    }

    /// From when its own deadline runs, unix milliseconds: its acceptance, or its last replay.
    pub fn clock_started_at(&self) -> u64 {
        self.replayed_at.unwrap_or_default().max(self.accepted_at())
    }

    pub(super) fn parse(id: PromptId, mut fields: HashMap<String, String>) -> Result<Self, StoreError> {
        const WHAT: StoreError = StoreError::Corrupt { what: "a prompt's record" };
        let at = fields
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("at:")?.parse().ok()?, value.parse().ok()?)))
            .collect();
        let time = |name: &str| fields.get(name).and_then(|value| value.parse().ok());
        let (accepted, cancel_requested, replayed_at) =
            (time("at:accepted"), time("cancelRequested"), time("replayedAt"));
        let expiring = time("expiring");
        let waits = fields.get("waits").and_then(|text| {
            let mut words = text.split(' ');
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        });
        let waited = fields.iter().filter_map(|(name, value)| {
            let (stage, cause) = name.strip_prefix("waited:")?.split_once(':')?;
            Some((stage.to_owned(), cause.parse().ok()?, value.parse().ok()?))
        });
        let failed = fields.iter().filter_map(|(name, value)| {
            let (stage, attempt) = name.strip_prefix("failed:")?.split_once(':')?;
            let (at, error) = value.split_once(' ')?;
            Some((stage.to_owned(), attempt.parse().ok()?, at.parse().ok()?, error.to_owned()))
        });
        let (waited, failed) = (waited.collect(), failed.collect());
        Ok(Self {
            id,
            accepted,
            cancel_requested,
            replayed_at,
            expiring,
            waits,
            waited,
            failed,
            held: fields.get("held").and_then(|word| word.parse().ok()),
            conversation: fields.get("conversation").and_then(|name| Conversation::from_full(name)).ok_or(WHAT)?,
            phase: fields.get("phase").and_then(|word| word.parse().ok()).ok_or(WHAT)?,
            request: fields.get("request").map(|text| serde_json::from_str(text)).transpose().map_err(|_| WHAT)?,
            metadata: fields
                .get("metadata")
                .map(|text| serde_json::from_str(text))
                .transpose()
                .map_err(|_| WHAT)?
                .unwrap_or_default(),
            job_id: fields.remove("jobId"),
            conversation_id: fields.remove("conversationId"),
            chat_url: fields.remove("omniChatUrl"),
            key_id: fields.remove("keyId"),
            user_id: fields.get("userId").and_then(|id| id.parse().ok()),
            traceparent: fields.remove("traceparent").unwrap_or_default(),
            misses: fields.get("misses").and_then(|text| text.parse().ok()).unwrap_or_default(),
            entry: fields.remove("entry"),
            behind: fields.remove("behind"),
            at,
        })
    }
}

impl Store {
    /// A prompt's record; `None` when it is unknown or its retention is over.
    pub async fn record(&self, id: PromptId) -> Result<Option<Record>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.prompt(&id.to_string()));
        let fields: HashMap<String, String> = self.redis.query(&command).await?;
        if fields.is_empty() { Ok(None) } else { Record::parse(id, fields).map(Some) }
    }

    /// The prompt that a job belongs to.
    pub async fn prompt_of_job(&self, job_id: &str) -> Result<Option<PromptId>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.job(job_id));
        let id: Option<String> = self.redis.query(&command).await?;
        Ok(id.and_then(|id| id.parse().ok()))
    }
}
