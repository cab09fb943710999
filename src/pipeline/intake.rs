//! intake: takes prompts (HTTP bodies, entries of the intake stream), leaves behind accepted ones. Safe to repeat with an
//! idempotency key; an entry of the stream is accepted and settled in one script.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::{debug, info};
use uuid::Uuid;

use super::stage::{Disposition, Malformed, Stage};
use crate::model::dead_letter::Reason;
use crate::model::entry::{About, Entry, EntryType};
use crate::model::prompt::{Body, Defaults, Invalid, metadata_fits};
use crate::model::work::Envelope;
use crate::model::{Cause, Conversation, Finding, Phase, PromptId, Tenant, Verdict};
use crate::runtime::traces::{self, SpanKind};
use crate::runtime::{Clock, TraceContext, failpoint, millis};
use crate::store::accept::{Accepted, Intake as Accepting};
use crate::store::backlog::Share;
use crate::store::delivery::{Delivery, Stream};
use crate::store::{Store, StoreError};

/// When a pushed prompt for which there is no room is tried again.
const FULL: Duration = Duration::from_secs(1);

/// Accepts prompts.
#[derive(Clone)]
pub struct Intake {
    store: Store,
    clock: Clock,
    defaults: Defaults<'static>,
    adopt_conversations: bool,
    first_check: Duration,
}

/// A prompt that is ours, now or from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// Its id.
    pub id: PromptId,
    /// What is known of it, when it is new; otherwise the idempotency key found an earlier one.
    pub fresh: Option<Fresh>,
}

/// A prompt that was accepted a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// Where it is.
    pub conversation: Conversation,
    /// The phase it began in.
    pub phase: Phase,
    /// When, unix milliseconds.
    pub at: u64,
}

/// Why a prompt was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The body cannot be used.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The idempotency key belongs to another body.
    #[error("the idempotency key was used for another prompt")]
    KeyReused,
    /// One conversation answers with one user's permissions.
    #[error("the conversation belongs to another user")]
    UserMismatch,
    /// Omni's conversation and the caller's do not belong together.
    #[error("the conversation and conversationId belong to different conversations")]
    ConversationMismatch,
    /// Nobody of this tenant has such a conversation.
    #[error("the conversation is not known")]
    UnknownConversation,
    /// There is too much unfinished.
    #[error("{}", .0.words())]
    Full(Share),
    /// Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IntakeError {
    /// For programs: the problem's and the entry's code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_prompt",
            Self::KeyReused => "idempotency_key_reused",
            Self::UserMismatch => "conversation_user_mismatch",
            Self::ConversationMismatch => "conversation_mismatch",
            Self::UnknownConversation => "conversation_not_found",
            Self::Full(_) => "backlog",
            Self::Store(_) => "unavailable",
        }
    }
}

impl Intake {
    /// An intake. `first_check` is when a new prompt is looked at first.
    pub const fn new(
        store: Store,
        clock: Clock,
        defaults: Defaults<'static>,
        adopt_conversations: bool,
        first_check: Duration,
    ) -> Self {
        Self { store, clock, defaults, adopt_conversations, first_check }
    }

    /// What a body may leave out, whoever sends it.
    pub const fn defaults(&self) -> Defaults<'static> {
        self.defaults
    }

    /// Accepts a checked prompt for a tenant; with it settles the intake entry it came from, and answers `None` when that
    /// entry belongs to another replica by now.
    pub async fn accept(
        &self,
        tenant: &Tenant,
        body: &Body,
        given: Option<TraceContext>,
        from: Option<&Delivery>,
    ) -> Result<Option<Acceptance>, IntakeError> {
        let kind = if from.is_some() { SpanKind::Consumer } else { SpanKind::Server };
        traces::within("intake", kind, given, self.accepted(tenant, body, given, from)).await
    }

    async fn accepted(
        &self,
        tenant: &Tenant,
        body: &Body,
        given: Option<TraceContext>,
        from: Option<&Delivery>,
    ) -> Result<Option<Acceptance>, IntakeError> {
        let id = PromptId::new(self.clock.now());
        traces::about(id);
        let trace = traces::current().or(given).unwrap_or_else(TraceContext::generate);
        let conversation = self.conversation(tenant, body, id).await?;
        let now = self.clock.now_ms();
        let own = body.prompt.deadline_seconds.map_or(Duration::MAX, Duration::from_secs);
        let first_check = self.first_check.min(own);
        let intake = Accepting {
            id,
            conversation: &conversation,
            body,
            traceparent: &trace.to_string(),
            now,
            first_check: now.saturating_add(millis(first_check)),
            may_adopt: tenant.is_none() || self.adopt_conversations,
        };
        let via = if from.is_some() { "stream" } else { "http" };
        match self.take(&intake, from).await? {
            Accepted::New(phase) => {
                info!(prompt.id = %id, conversation.id = %conversation, phase = %phase, via, "prompt accepted");
                metrics::counter!("omni_relay_prompts_accepted_total", "via" => via).increment(1);
                self.announce(id, &conversation, body).await;
                Ok(Some(Acceptance { id, fresh: Some(Fresh { conversation, phase, at: now }) }))
            }
            Accepted::Same(id) => Ok(Some(Acceptance { id, fresh: None })),
            Accepted::KeyReused => Err(IntakeError::KeyReused),
            Accepted::UserMismatch => Err(IntakeError::UserMismatch),
            Accepted::BoundTo(other) if other.tenant() != *tenant => Err(IntakeError::UnknownConversation),
            Accepted::BoundTo(_) | Accepted::Rebound => Err(IntakeError::ConversationMismatch),
            Accepted::Unknown => Err(IntakeError::UnknownConversation),
            Accepted::Full(share) => {
                // On the stream what is too much for all waits.
                if from.is_none() || share == Share::Tenant {
                    metrics::counter!("omni_relay_prompts_shed_total", "via" => via, "limit" => share.as_str())
                        .increment(1);
                }
                Err(IntakeError::Full(share))
            }
            Accepted::Lost => Ok(None),
        }
    }

    /// Accepts. Attachments stand in Redis before their prompt does, and only where nothing stands in its way: who
    /// repeats a prompt, or pushes it while the backlog is full, does not write megabytes each time.
    async fn take(&self, intake: &Accepting<'_>, from: Option<&Delivery>) -> Result<Accepted, StoreError> {
        let Some(attachments) = &intake.body.attachments else { return self.store.accept(intake, from).await };
        if let Some(other) = self.store.look(intake, from).await? {
            return Ok(other);
        }
        // Where what follows is lost they end by themselves, or are kept by whoever sends the prompt.
        if let Err(error) = self.store.attach(intake.id, attachments).await {
            let _ = self.store.detach(intake.id).await;
            return Err(error);
        }
        failpoint::hit("intake.attached").await;
        let accepted = self.store.accept(intake, from).await?;
        let _ = match accepted {
            Accepted::New(_) => self.store.keep_attachments(intake.id).await,
            _ => self.store.detach(intake.id).await,
        };
        Ok(accepted)
    }

    /// Where a prompt belongs: the thread its caller named, the one bound to Omni's conversation, or one of its own.
    async fn conversation(&self, tenant: &Tenant, body: &Body, id: PromptId) -> Result<Conversation, IntakeError> {
        let named = match (&body.conversation, body.conversation_id) {
            (Some(key), _) => self.named(tenant, key).await?,
            (None, None) => Conversation::new(tenant, &id.to_string()),
            (None, Some(omnis)) => match self.store.conversation_of(omnis).await? {
                Some(known) => Some(known).filter(|known| known.tenant() == *tenant),
                // Whether it may be continued is for `accept` to say.
                None => Conversation::new(tenant, &omnis.to_string()),
            },
        };
        named.ok_or(IntakeError::UnknownConversation)
    }

    async fn named(&self, tenant: &Tenant, name: &str) -> Result<Option<Conversation>, StoreError> {
        self.store.named(Conversation::new(tenant, name), name, |bound| bound.tenant() == *tenant).await
    }

    /// `omni.prompt.accepted`: best effort, and never after a later entry.
    async fn announce(&self, id: PromptId, conversation: &Conversation, body: &Body) {
        let about = About {
            namespace: self.store.keys().namespace(),
            prompt_id: id,
            conversation,
            job_id: None,
            conversation_id: None,
            chat_url: None,
            metadata: Some(&body.metadata),
        };
        let entry = Entry::new(EntryType::Accepted, &about, self.clock.now(), &about.data());
        if let Err(error) = self.store.publish(id, &entry, None).await {
            debug!(prompt.id = %id, error = %error, "did not announce the prompt");
        }
    }
}

/// The intake stream's stage.
pub struct IntakeStage {
    intake: Intake,
    tenants: Tenants,
}

/// Which tenants pushed prompts may name.
#[derive(Debug, Clone, Default)]
pub struct Tenants {
    /// Configured tenants; the empty name where a caller has none. Empty without callers: then everything goes.
    pub known: BTreeSet<String>,
}

/// The work is the entry's own `data`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pushed {}

impl IntakeStage {
    /// A stage.
    pub const fn new(intake: Intake, tenants: Tenants) -> Self {
        Self { intake, tenants }
    }

    async fn accept(&self, delivery: &Delivery, bytes: &[u8]) -> Result<(), IntakeError> {
        let defaults = Defaults { names_tenant: true, ..self.intake.defaults };
        let body = Body::parse(bytes, defaults)?;
        let name = body.tenant.as_deref().unwrap_or_default();
        if !self.tenants.allow(name) {
            let detail = "must name a configured tenant".to_owned();
            let error = crate::model::prompt::FieldError { pointer: "/tenant".to_owned(), detail };
            return Err(Invalid::Fields(vec![error]).into());
        }
        let trace = delivery
            .field("traceparent")
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .and_then(TraceContext::parse);
        failpoint::hit("intake.accept").await;
        let accepted = self.intake.accept(&Tenant::new(body.tenant.as_deref()), &body, trace, Some(delivery)).await;
        failpoint::hit("intake.accepted").await;
        accepted.map(|_| ())
    }

    /// What the readers of a refused entry are owed, where it can be told who they are.
    async fn finding(&self, bytes: &[u8], error: &IntakeError, message: String) -> Result<Option<Finding>, StoreError> {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return Ok(None) };
        let Some(tenant) = self.tenants.of(&value) else { return Ok(None) };
        let conversation = match (value.get("conversation"), value.get("conversationId").and_then(Value::as_str)) {
            (Some(Value::String(name)), _) => self.intake.named(&tenant, name).await?,
            (None | Some(Value::Null), Some(id)) => match Uuid::try_parse(id) {
                Ok(id) => self.intake.store.conversation_of(id).await?.filter(|known| known.tenant() == tenant),
                Err(_) => None,
            },
            _ => None,
        };
        let Some(conversation) = conversation else { return Ok(None) };
        let verdict = Verdict::Failed { code: error.code().to_owned(), message };
        let metadata = value.get("metadata").and_then(Value::as_object).filter(|metadata| metadata_fits(metadata));
        let metadata = metadata.cloned().unwrap_or_default();
        let finding = Finding::new(PromptId::new(self.intake.clock.now()), conversation, verdict);
        Ok(Some(Finding { metadata, ..finding }))
    }
}

impl Tenants {
    fn allow(&self, name: &str) -> bool {
        let charset = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        name.bytes().all(charset) && (self.known.is_empty() || self.known.contains(name))
    }

    /// The one that a pushed prompt names, where it may.
    fn of(&self, pushed: &Value) -> Option<Tenant> {
        let name = pushed.get("tenant").filter(|name| !name.is_null()).map_or(Some(""), Value::as_str)?;
        self.allow(name).then(|| Tenant::new(Some(name)))
    }
}

impl Stage for IntakeStage {
    type Work = Pushed;
    const STREAM: Stream = Stream::Intake;
    const IN_ORDER: bool = true;

    fn read(&self, delivery: &Delivery) -> Result<Envelope<Pushed>, Malformed> {
        match delivery.field("data") {
            Some(_) => Ok(Envelope::new(Pushed {})),
            None => Err(Malformed("it has no field `data`".to_owned())),
        }
    }

    async fn handle(&self, delivery: &Delivery, _: &Envelope<Pushed>) -> Result<Disposition, StoreError> {
        let bytes = delivery.field("data").unwrap_or_default();
        let error = match self.accept(delivery, bytes).await {
            Ok(()) => return Ok(Disposition::Accepted),
            Err(IntakeError::Store(error)) => return Err(error),
            Err(IntakeError::Full(Share::All)) => return Ok(Disposition::Hold { pause: FULL, cause: Cause::Backlog }),
            Err(error) => error,
        };
        let message = match &error {
            IntakeError::Invalid(Invalid::Fields(fields)) => {
                let list: Vec<String> =
                    fields.iter().map(|field| format!("{} {}", field.pointer, field.detail)).collect();
                list.join("; ").trim_start().to_owned()
            }
            other => other.to_string(),
        };
        let finding = self.finding(bytes, &error, message.clone()).await?;
        let reason = if matches!(error, IntakeError::Full(_)) { Reason::Backlog } else { Reason::InvalidPrompt };
        Ok(Disposition::Bury { reason, error: message, finding })
    }

    fn tenant(&self, delivery: &Delivery) -> Tenant {
        let pushed = delivery.field("data").and_then(|bytes| serde_json::from_slice(bytes).ok());
        pushed.and_then(|pushed| self.tenants.of(&pushed)).unwrap_or_default()
    }

    fn prompt(&self, _: &Pushed) -> Option<PromptId> {
        None
    }

    async fn overdue(&self, _: &Pushed) -> Result<Disposition, StoreError> {
        Ok(Disposition::Done)
    }
}
