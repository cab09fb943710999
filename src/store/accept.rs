//! accept: a prompt becomes ours.

use std::time::Duration;

use uuid::Uuid;

use super::backlog::Share;
use super::delivery::Delivery;
use super::script::{Move, script, unexpected, with_keys};
use super::{Store, StoreError};
use crate::model::{Body, Conversation, Phase, PromptId};
use crate::runtime::millis;

static ACCEPT: Move = script!("accept");

/// How long an idempotency key is remembered.
const REMEMBERED: Duration = Duration::from_hours(24);

/// A checked prompt on its way in.
#[derive(Debug)]
pub struct Intake<'a> {
    /// Its new id.
    pub id: PromptId,
    /// Where it belongs.
    pub conversation: &'a Conversation,
    /// What was asked.
    pub body: &'a Body,
    /// The caller's trace context, or a new one.
    pub traceparent: &'a str,
    /// Unix milliseconds.
    pub now: u64,
    /// When to look at it first, unix milliseconds.
    pub first_check: u64,
    /// Whether it may continue a conversation of Omni's that nobody here continues yet.
    pub may_adopt: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is ours now.
    New(Phase),
    /// The same prompt came before, under this id.
    Same(PromptId),
    /// The idempotency key was used for another body.
    KeyReused,
    /// The conversation answers with another user's permissions.
    UserMismatch,
    /// Omni's conversation belongs to another conversation here.
    BoundTo(Conversation),
    /// The conversation continues another conversation of Omni's.
    Rebound,
    /// Nobody here continues that conversation of Omni's, and this prompt may not begin to.
    Unknown,
    /// The backlog is past its limit: nothing was kept.
    Full(Share),
    /// The intake entry is no longer ours: another replica took it over.
    Lost,
}

impl Store {
    /// Accepts a prompt, and with it settles the intake entry it came from. Safe to repeat with an idempotency key, or
    /// with an intake entry: an error may leave the prompt accepted.
    pub async fn accept(&self, intake: &Intake<'_>, from: Option<&Delivery>) -> Result<Accepted, StoreError> {
        self.try_accept(intake, from, false).await?.ok_or_else(unexpected)
    }

    /// What would become of a prompt that is not new, or not to be accepted; `None` where nothing stands in its way.
    pub async fn look(&self, intake: &Intake<'_>, from: Option<&Delivery>) -> Result<Option<Accepted>, StoreError> {
        self.try_accept(intake, from, true).await
    }

    async fn try_accept(
        &self,
        intake: &Intake<'_>,
        from: Option<&Delivery>,
        look: bool,
    ) -> Result<Option<Accepted>, StoreError> {
        let keys = &self.keys;
        let tenant = intake.conversation.tenant();
        let id = intake.id.to_string();
        let conversation_id = intake.body.conversation_id.map(|id| id.to_string()).unwrap_or_default();
        let idempotency_key = intake.body.idempotency_key.as_deref();
        let mut call = with_keys(
            &ACCEPT,
            &[
                &keys.prompt(&id),
                &keys.slot(intake.conversation),
                &keys.waiting(intake.conversation),
                &keys.alias(&conversation_id),
                &keys.deadlines,
                &keys.idempotency(&tenant, idempotency_key),
                &keys.prompts,
                &keys.turns,
                &keys.ready(tenant.as_str()),
                &keys.intake,
                &keys.backlog,
            ],
        );
        let what = |_| StoreError::Corrupt { what: "a prompt" };
        let request = serde_json::to_string(&intake.body.prompt).map_err(what)?;
        let metadata = serde_json::to_string(&intake.body.metadata).map_err(what)?;
        call.arg(&id)
            .arg(tenant.as_str())
            .arg(intake.conversation.as_str())
            .arg(intake.body.prompt.user.identity())
            .arg(&conversation_id)
            .arg(intake.now)
            .arg(intake.first_check)
            .arg(self.policy.window)
            .arg(idempotency_key.map(|_| intake.body.fingerprint.as_str()).unwrap_or_default())
            .arg(millis(REMEMBERED))
            .arg(from.map(Delivery::id).unwrap_or_default())
            .arg(from.map(Delivery::consumer).unwrap_or_default());
        let limit = self.policy.backlog;
        let attached = intake.body.prompt.attached.map_or(0, |attached| attached.bytes);
        call.arg(request.len() + metadata.len() + attached);
        for most in [limit.prompts, limit.bytes, limit.of_tenant(limit.prompts), limit.of_tenant(limit.bytes)] {
            call.arg(most);
        }
        call.arg(if look { "1" } else { "" }).arg(&request).arg(&metadata).arg(intake.traceparent);
        call.arg(if intake.may_adopt { "1" } else { "" });
        let words: Vec<String> = self.durably(&call, &keys.replicated).await?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(Some(match words.as_slice() {
            ["free"] => return Ok(None),
            ["accepted", phase] => Accepted::New(phase.parse().map_err(|()| unexpected())?),
            ["same", id] => Accepted::Same(id.parse().map_err(|_| unexpected())?),
            ["reused"] => Accepted::KeyReused,
            ["user"] => Accepted::UserMismatch,
            ["bound", other] => Accepted::BoundTo(Conversation::from_full(other).ok_or_else(unexpected)?),
            ["rebound"] => Accepted::Rebound,
            ["unknown"] => Accepted::Unknown,
            ["full", "tenant"] => Accepted::Full(Share::Tenant),
            ["full", "all"] => Accepted::Full(Share::All),
            ["lost"] => Accepted::Lost,
            _ => return Err(unexpected()),
        }))
    }

    /// The conversation that continues Omni's.
    pub async fn conversation_of(&self, conversation_id: Uuid) -> Result<Option<Conversation>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.alias(&conversation_id.to_string()));
        let name: Option<String> = self.redis.query(&command).await?;
        Ok(name.and_then(|name| Conversation::from_full(&name)))
    }

    /// The conversation that a name means: the caller's `own` of that name, where there is one; else the one that continues
    /// Omni's of this id, where the caller `sees` it; else `own`, which is yet to begin.
    pub async fn named(
        &self,
        own: Option<Conversation>,
        name: &str,
        sees: impl Fn(&Conversation) -> bool,
    ) -> Result<Option<Conversation>, StoreError> {
        let Ok(omnis) = Uuid::try_parse(name) else { return Ok(own) };
        let bound = self.conversation_of(omnis).await?.filter(sees);
        match (own, bound) {
            (Some(own), Some(bound)) if own != bound && !self.knows(&own).await? => Ok(Some(bound)),
            (own, bound) => Ok(own.or(bound)),
        }
    }

    /// Whether the conversation is known: it has a slot.
    pub async fn knows(&self, conversation: &Conversation) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.keys.slot(conversation));
        self.redis.query(&command).await
    }
}
