//! submit: takes prompts whose turn has come, leaves behind Omni's job and who waits for it. Safe to repeat because
//! `queued → sending` lets one POST through: whoever finds `sending` never sends another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::directory::{Acting, Directory, NoUser};
use super::insist::insist;
use super::keyring::{Halt, KeyRing};
use super::reconcile::Pace;
use super::stage::{Admission, Disposition, Stage};
use super::switch::Switch;
use crate::model::dead_letter::Reason;
use crate::model::entry::{About, Entry, EntryType};
use crate::model::event::Correlation;
use crate::model::retry::doubling;
use crate::model::{Cause, Envelope, Finding, Phase, Prompt, PromptId, Submit, Verdict};
use crate::omni::{CreateJob, Created, Omni, OmniError, WebhookRequest};
use crate::runtime::traces::{self, SpanKind};
use crate::runtime::{Clock, Stop, failpoint, hasten};
use crate::store::delivery::{Delivery, Stream};
use crate::store::record::Record;
use crate::store::submit::{Job, Recorded, Send, Sender};
use crate::store::{Store, StoreError};

/// Where Omni's webhooks go.
#[derive(Debug, Clone)]
pub struct WebhookTarget {
    /// Exactly the configured address.
    pub url: String,
    /// The secret that signs new jobs.
    pub secret: secrecy::SecretString,
}

/// The submit stage.
pub struct Submitter {
    /// The store.
    pub store: Store,
    /// Omni.
    pub omni: Arc<Omni>,
    /// Omni's keys.
    pub keys: Arc<KeyRing>,
    /// Users.
    pub directory: Directory,
    /// Time.
    pub clock: Clock,
    /// Where to be called back; `None` to poll.
    pub webhook: Option<WebhookTarget>,
    /// When to look at what stays quiet.
    pub pace: Pace,
    /// A tenant's weight.
    pub weight: Box<dyn Fn(&str) -> u32 + core::marker::Send + Sync>,
    /// What is held back.
    pub switch: Switch,
    /// When nothing could be started last (unix milliseconds), and why; nothing so far by default.
    pub short: Mutex<Option<(u64, Cause)>>,
    /// When to give up on a Redis that is away.
    pub stop: Stop,
}

/// What came of sending a prompt to Omni.
enum Sent {
    /// Nothing is left to be done, or somebody else does it.
    Decided(Disposition),
    /// Omni did not take it: the prompt is queued again.
    NotTaken(Halt),
}

/// Between looks whether a tenant is resumed.
const PAUSED: Duration = Duration::from_secs(2);
/// Until those that are being sent have been.
const SOON: Duration = Duration::from_millis(20);
/// A busy conversation: first and longest wait.
const BUSY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));

impl Submitter {
    /// A user who is only remembered may be gone by now: where Omni refuses to act for one, it is looked up once more.
    async fn submit(
        &self,
        delivery: &Delivery,
        envelope: &Envelope<Submit>,
        record: &Record,
        prompt: &Prompt,
    ) -> Result<Disposition, StoreError> {
        let mut refusal: Option<(Uuid, Halt)> = None;
        loop {
            let acting = match self.directory.start(&prompt.user).await {
                Ok(acting) => acting,
                Err(NoUser::Halt(halt)) => return after(record, envelope, halt),
                Err(none) => return Ok(without_user(record, &none)),
            };
            match refusal {
                // It is the same one still, so it was not for the id.
                Some((id, halt)) if acting.user_id == Some(id) => return after(record, envelope, halt),
                _ => {}
            }
            let again = refusal.is_some();
            match (self.send(delivery, record, prompt, &acting).await?, acting.user_id) {
                (Sent::Decided(decision), _) => return Ok(decision),
                (Sent::NotTaken(halt), Some(id)) if acting.remembered && !again && may_be_dead(&halt) => {
                    self.directory.doubt(&prompt.user, id).await?;
                    refusal = Some((id, halt));
                }
                (Sent::NotTaken(halt), _) => return after(record, envelope, halt),
            }
        }
    }

    /// What kept a prompt from being read since it was queued.
    fn held(&self, record: &Record) -> Cause {
        let short = *self.short.lock().unwrap_or_else(PoisonError::into_inner);
        let queued = record.at.get(&Phase::Queued).copied().unwrap_or_default();
        short.filter(|(at, _)| *at >= queued).map_or(Cause::Turn, |(_, cause)| cause)
    }

    async fn send(
        &self,
        delivery: &Delivery,
        record: &Record,
        prompt: &Prompt,
        acting: &Acting<'_>,
    ) -> Result<Sent, StoreError> {
        let attachments = match prompt.attached {
            None => None,
            Some(_) => match self.store.attachments(record.id).await? {
                None => return Ok(Sent::Decided(without_attachments(record))),
                attachments => attachments,
            },
        };
        let (sender, asks_as) = (Sender::default(), (acting.permit.key().id(), acting.user_id));
        let send = || {
            let now = self.clock.now_ms();
            self.store.send(delivery, record, &sender, asks_as, now, self.pace.sending_check(now))
        };
        // Its place in the budget is in hand, for as long as it counts.
        let goes_on = || !self.stop.is_requested() && self.keys.holds(&acting.permit);
        // From here on nobody else learns what Omni says to it.
        let _in_hand = delivery.in_hand().await;
        let conversation_id = match insist(goes_on, send).await? {
            Send::Go(conversation_id) => conversation_id,
            Send::Not(Phase::Sending) => return Ok(Sent::Decided(outcome_unknown(record))),
            Send::Cancelled => return Ok(Sent::Decided(cancelled(record))),
            Send::Lost => return Ok(Sent::Decided(Disposition::Lost)),
            Send::Not(_) | Send::Missing => return Ok(Sent::Decided(Disposition::Done)),
        };
        failpoint::hit("submit.sending").await;
        let created = self.create(acting, record, prompt, conversation_id.as_deref(), attachments.as_deref()).await;
        drop(attachments);
        match created {
            Ok(created) => {
                failpoint::hit("submit.created").await;
                self.created(record, &created).await.map(Sent::Decided)
            }
            Err(Halt::Omni(error)) if error.outcome_unknown() => {
                warn!(prompt.id = %record.id, error = %error, "outcome of the create is unknown");
                Ok(Sent::Decided(Disposition::Done))
            }
            Err(halt) => {
                // Nobody else will know that Omni did not take it.
                let unsend = || self.store.unsend(delivery, record.id, &sender, self.clock.now_ms());
                let given_up = insist(|| !self.stop.is_requested(), unsend).await?;
                Ok(if given_up { Sent::Decided(cancelled(record)) } else { Sent::NotTaken(halt) })
            }
        }
    }

    async fn create(
        &self,
        Acting { permit, user_id, .. }: &Acting<'_>,
        record: &Record,
        prompt: &Prompt,
        conversation_id: Option<&str>,
        attachments: Option<&RawValue>,
    ) -> Result<Created, Halt> {
        let correlation = Correlation { prompt_id: record.id, conversation: record.conversation.clone() };
        let metadata = correlation.to_metadata(&record.traceparent);
        let webhook = self.webhook.as_ref().map(|target| WebhookRequest {
            url: &target.url,
            secret: &target.secret,
            metadata: &metadata,
        });
        let job = CreateJob {
            model_id: prompt.model_id,
            prompt: &prompt.prompt,
            conversation_id: conversation_id.and_then(|id| id.parse().ok()),
            branch_id: prompt.branch_id,
            topic_name: prompt.topic_name.as_deref(),
            attachments,
            user_id: *user_id,
            webhook,
            progress: prompt.progress,
        };
        let created = self.omni.create(permit.key(), &job).await;
        self.keys.heard(permit, created).await
    }

    /// Omni's 201: recorded first, announced second.
    async fn created(&self, record: &Record, created: &Created) -> Result<Disposition, StoreError> {
        let (job_id, conversation_id) = (created.job_id.to_string(), created.conversation_id.to_string());
        let job =
            Job { job_id: &job_id, conversation_id: &conversation_id, chat_url: created.omni_chat_url.as_deref() };
        let now = self.clock.now_ms();
        let check = self.pace.submitted_check(record, now, self.keys.scarcity(None));
        match insist(|| !self.stop.is_requested(), || self.store.sent(record, job, now, check)).await? {
            Recorded::In(_) => {
                info!(prompt.id = %record.id, job.id = job_id, "job created");
                failpoint::hit("submit.recorded").await;
                self.detach(record).await;
            }
            Recorded::Other(other) => {
                error!(prompt.id = %record.id, job.id = job_id, other, "the prompt has another job already");
                return Ok(Disposition::Done);
            }
            Recorded::Taken(other) => {
                error!(prompt.id = %record.id, job.id = job_id, other, "the job belongs to another prompt already");
                return Ok(Disposition::Done);
            }
            Recorded::Missing => {
                warn!(prompt.id = %record.id, job.id = job_id, "job created for a prompt without a record");
                self.detach(record).await;
            }
        }
        self.announce(record, job).await;
        Ok(Disposition::Done)
    }

    /// Omni has the files; should this be lost, whoever ends the prompt lets go of them.
    async fn detach(&self, record: &Record) {
        if record.request.as_ref().is_some_and(|prompt| prompt.attached.is_some())
            && let Err(error) = self.store.detach(record.id).await
        {
            debug!(prompt.id = %record.id, error = %error, "left attachments behind");
        }
    }

    /// `omni.job.submitted`: best effort, and never after a later entry.
    async fn announce(&self, record: &Record, job: Job<'_>) {
        let about = About {
            namespace: self.store.keys().namespace(),
            prompt_id: record.id,
            conversation: &record.conversation,
            job_id: Some(job.job_id),
            conversation_id: Some(job.conversation_id),
            chat_url: job.chat_url,
            metadata: Some(&record.metadata),
        };
        let entry = Entry::new(EntryType::Submitted, &about, self.clock.now(), &about.data());
        if let Err(error) = self.store.publish(record.id, &entry, None).await {
            debug!(prompt.id = %record.id, error = %error, "did not announce the job");
        }
    }
}

impl Stage for Submitter {
    type Work = Submit;
    const STREAM: Stream = Stream::Prompts;

    async fn handle(&self, delivery: &Delivery, envelope: &Envelope<Submit>) -> Result<Disposition, StoreError> {
        let id = envelope.work.prompt_id;
        let Some(mut record) = self.store.record(id).await? else {
            warn!(prompt.id = %id, "no record of a queued prompt");
            return Ok(Disposition::Done);
        };
        record.held = Some(self.held(&record));
        match (record.phase, &record.request) {
            // It had its turn before the pause.
            (Phase::Queued, _) if self.switch.holds(&record.tenant()) => {
                Ok(Disposition::Wait { pause: hasten(PAUSED), cause: Cause::Paused })
            }
            (Phase::Queued, Some(prompt)) => {
                let work = self.submit(delivery, envelope, &record, prompt);
                traces::within("submit", SpanKind::Consumer, record.trace(), work).await
            }
            (Phase::Sending, _) => Ok(outcome_unknown(&record)),
            _ => Ok(Disposition::Done),
        }
    }

    /// As many as the budget has room for, beside the busy ones, which may not have been granted theirs: what cannot be
    /// sent now keeps its place in line.
    async fn admit(&self, free: usize, busy: usize) -> Result<Admission, StoreError> {
        match self.keys.startable(free + busy).await? {
            Ok(starts) if starts > busy => {
                self.store.take_turns(starts - busy, &self.weight).await?;
                Ok(Admission::Some(starts - busy))
            }
            Ok(_) => Ok(Admission::NotBefore(SOON)),
            Err((pause, cause)) => {
                *self.short.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.clock.now_ms(), cause));
                Ok(Admission::NotBefore(pause))
            }
        }
    }

    fn prompt(&self, work: &Submit) -> Option<PromptId> {
        Some(work.prompt_id)
    }

    async fn overdue(&self, work: &Submit) -> Result<Disposition, StoreError> {
        Ok(match self.store.record(work.prompt_id).await? {
            Some(record) => Disposition::Refuse(Finding::new(record.id, record.conversation, Verdict::Expired)),
            None => Disposition::Done,
        })
    }
}

/// Somebody sent a create and did not live to record what came of it. It is not sent again: its
/// webhook carries our id, and it is looked up.
fn outcome_unknown(record: &Record) -> Disposition {
    warn!(prompt.id = %record.id, "found while sending: the outcome of its create is unknown");
    Disposition::Done
}

/// What follows an error that left nothing behind at Omni.
fn after(record: &Record, envelope: &Envelope<Submit>, halt: Halt) -> Result<Disposition, StoreError> {
    let error = match halt {
        Halt::Omni(error) => error,
        other => return super::ending::after(other),
    };
    Ok(match &error {
        OmniError::Conflict { .. } => {
            let pause = doubling(hasten(BUSY.0), hasten(BUSY.1), envelope.waits);
            Disposition::Wait { pause, cause: Cause::Conversation }
        }
        OmniError::Refused { status, detail } => {
            let code = detail.code.clone().unwrap_or_else(|| format!("omni_{}", status.as_u16()));
            let message = detail.message.clone().unwrap_or_else(|| "Omni refused the prompt".to_owned());
            refuse(record, &code, message)
        }
        OmniError::NotFound => refuse(record, "omni_404", "Omni does not know what was asked for".to_owned()),
        OmniError::AmbiguousUser => refuse(record, "user_ambiguous", error.to_string()),
        OmniError::UserListTooLong { .. } => refuse(record, "user_not_found", error.to_string()),
        OmniError::InactiveUser => refuse(record, "user_inactive", error.to_string()),
        OmniError::Redirected { .. } => {
            Disposition::Bury { reason: Reason::RetriesExhausted, error: error.to_string(), finding: None }
        }
        _ => return super::ending::after(Halt::Omni(error)),
    })
}

/// There is nobody to ask as.
fn without_user(record: &Record, none: &NoUser) -> Disposition {
    let (code, message) = match none {
        NoUser::NotCreated(error) => {
            let said = error.detail().and_then(|detail| detail.message.clone());
            ("user_not_created", said.unwrap_or_else(|| "Omni refused to create the embed user".to_owned()))
        }
        NoUser::Unseen => return Disposition::Retry { error: none.to_string(), not_before: None },
        NoUser::Unknown | NoUser::Halt(_) => ("user_not_found", NoUser::Unknown.to_string()),
    };
    refuse(record, code, message)
}

/// What was to go along is gone: without it Omni would answer another question.
fn without_attachments(record: &Record) -> Disposition {
    warn!(prompt.id = %record.id, "the attachments of a queued prompt are lost");
    refuse(record, "attachments_lost", "the prompt's attachments were lost".to_owned())
}

/// Whether Omni may have refused because the user is gone.
fn may_be_dead(halt: &Halt) -> bool {
    matches!(halt, Halt::Omni(OmniError::Refused { status, .. }) if matches!(status.as_u16(), 403 | 404))
}

/// Somebody asked to cancel it while it was being sent, and Omni did not take it.
fn cancelled(record: &Record) -> Disposition {
    Disposition::Refuse(Finding::new(record.id, record.conversation.clone(), Verdict::Cancelled))
}

fn refuse(record: &Record, code: &str, message: String) -> Disposition {
    let verdict = Verdict::Failed { code: code.to_owned(), message };
    Disposition::Refuse(Finding::new(record.id, record.conversation.clone(), verdict))
}
