//! process: takes webhooks and findings from the inbox, leaves behind published entries. Safe to repeat because an entry is
//! published once, whoever decides it, and settling records the entry that stands.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::answer::answer;
use super::decide::{Step, decide};
use super::ending::{End, Ended, Subject, after};
use super::insist::insist;
use super::keyring::{Halt, KeyRing};
use super::stage::{Disposition, Stage};
use crate::model::{
    Cause, Conversation, Entry, EntryType, Envelope, Event, Finding, JobState, Phase, PromptId, Reason, Verdict,
    Webhook,
};
use crate::omni::{JobResult, JobStatus, Omni, OmniError};
use crate::runtime::traces::{self, SpanKind};
use crate::runtime::{Clock, Stop, failpoint, hasten};
use crate::store::budget::Grant;
use crate::store::delivery::{Delivery, Stream};
use crate::store::inbox::Finish;
use crate::store::publish::Published;
use crate::store::record::Record;
use crate::store::settle::Ending;
use crate::store::{Store, StoreError};

/// The process stage.
pub struct Process {
    /// The store.
    pub store: Store,
    /// Omni.
    pub omni: Arc<Omni>,
    /// Omni's keys.
    pub keys: Arc<KeyRing>,
    /// Time.
    pub clock: Clock,
    /// Largest result that an entry holds itself, in bytes.
    pub inline_max: usize,
    /// The short waits for a result that is not there yet: how many, how long.
    pub patience: (u32, Duration),
    /// When to give up on a Redis that is away.
    pub stop: Stop,
}

/// How long the answer to a create may take to be recorded before its webhook is taken for what it is.
const RECORDING: Duration = Duration::from_secs(5);
/// While it is.
const HOLD: Duration = Duration::from_millis(50);

impl Process {
    /// A final state of a job, told or found; `since` is when it was told.
    async fn webhook(
        &self,
        delivery: &Delivery,
        webhook: &Webhook,
        since: Option<u64>,
    ) -> Result<Disposition, StoreError> {
        let Some(step) = decide(&webhook.state) else { return Ok(Disposition::Done) };
        let job_id = webhook.job_id.to_string();
        let prompt_id = match webhook.prompt_id {
            Some(id) => Some(id),
            None => self.store.prompt_of_job(&job_id).await?,
        };
        let (record, grant) = match prompt_id {
            Some(id) => match self.finish(delivery, id, &job_id, step).await? {
                Ok(found) => found,
                Err(nothing) => return Ok(nothing),
            },
            None => (None, None),
        };
        let trace = record.as_ref().and_then(Record::trace);
        let work = Box::pin(self.ended(step, webhook, since, record, grant));
        traces::within("process", SpanKind::Consumer, trace, work).await
    }

    async fn ended(
        &self,
        step: Step,
        webhook: &Webhook,
        since: Option<u64>,
        record: Option<Record>,
        grant: Option<Grant>,
    ) -> Result<Disposition, StoreError> {
        // Cancelled by us, because its time was over: whoever tells of it first.
        let expired =
            record.as_ref().is_some_and(|record| record.expiring.is_some() && record.cancel_requested.is_none());
        let mut subject = match record {
            Some(record) => Subject::of(record, Some(webhook.job_id.to_string())),
            None => match self.stranger(webhook).await {
                Ok(subject) => subject,
                Err(halt) => return after(halt),
            },
        };
        let end = match self.end(&mut subject, step, webhook, grant).await {
            Ok(end) if expired && end.kind == EntryType::Cancelled => End { kind: EntryType::Expired, ..end },
            Ok(end) => end,
            Err(halt) => return after(halt),
        };
        self.publish(&subject, end, since).await
    }

    /// The record of the prompt that ends now, `None` where it is lost, and what the budget says of the request for the result;
    /// or what becomes of the delivery instead: there is nothing to do, or not yet.
    async fn finish(
        &self,
        delivery: &Delivery,
        id: PromptId,
        job_id: &str,
        step: Step,
    ) -> Result<Result<(Option<Record>, Option<Grant>), Disposition>, StoreError> {
        let budget = self.keys.usual().filter(|_| step == Step::Answer);
        let found =
            self.store.finish(Some(delivery), (id, Some(job_id)), self.clock.now_ms(), hasten(RECORDING), budget);
        Ok(match found.await? {
            Finish::Go(record, grant) => Ok((Some(*record), grant)),
            Finish::Missing => Ok((None, None)),
            Finish::Recording => Err(Disposition::Wait { pause: HOLD, cause: Cause::Recording }),
            Finish::Lost => Err(Disposition::Lost),
            Finish::Terminal(phase) => {
                if phase == Phase::Answered && step != Step::Answer {
                    warn!(prompt.id = %id, job.id = job_id, phase = %phase, "omni tells another end than it did before");
                } else {
                    debug!(prompt.id = %id, job.id = job_id, phase = %phase, "published before");
                }
                Err(Disposition::Done)
            }
            Finish::Other(other) => {
                warn!(prompt.id = %id, job.id = job_id, other, "a webhook names a prompt of another job");
                Err(Disposition::Done)
            }
        })
    }

    /// A job whose record was lost, or that was created elsewhere with our address and secret.
    async fn stranger(&self, webhook: &Webhook) -> Result<Subject, Halt> {
        let prompt_id = webhook.prompt_id.unwrap_or_else(|| PromptId::of_foreign_job(webhook.job_id));
        let conversation = Conversation::from_full("-").expect("a dash is a key");
        let job_id = Some(webhook.job_id.to_string());
        let mut subject = Subject { job_id, ..Subject::unknown(prompt_id, conversation, Map::new()) };
        let status = self.status(&mut subject).await?;
        let omnis = status.conversation_id.and_then(|id| Conversation::from_full(&id.to_string()));
        let Some(conversation) = webhook.conversation.clone().or(omnis) else {
            return Err(Halt::Odd("the job has no conversation".to_owned()));
        };
        subject.conversation = conversation;
        Ok(subject)
    }

    async fn end(&self, subject: &mut Subject, step: Step, webhook: &Webhook, grant: Option<Grant>) -> Ended {
        match step {
            Step::Answer => self.answer(subject, grant).await,
            Step::Deny => {
                let reason = &webhook.reason;
                let message = reason.as_deref().unwrap_or("Omni denied the job");
                let mut end = subject.failed(&self.store, "denied", message);
                end.data.put("reason", reason.as_deref().unwrap_or("denied"));
                Ok(end)
            }
            Step::Cancel => Ok(subject.ends(&self.store, EntryType::Cancelled)),
            Step::Fail => {
                let status = self.status(subject).await?;
                Ok(subject.job_failed(&self.store, &status))
            }
        }
    }

    /// The full result, waited for a little where it is not there yet.
    async fn answer(&self, subject: &mut Subject, grant: Option<Grant>) -> Ended {
        let (tries, pause) = self.patience;
        let mut granted = grant.map(|grant| self.keys.granted(grant)).transpose()?.flatten();
        for attempt in 1..=tries {
            let permit = match granted.take() {
                Some(permit) => permit,
                None => self.keys.finish(subject.key_id.as_deref()).await?,
            };
            let answer = self.omni.result(permit.key(), subject.job()).await;
            match self.keys.heard(&permit, answer).await {
                Ok(result) => return self.answered(subject, result).await,
                Err(Halt::Omni(OmniError::NotFound | OmniError::NotReady { .. } | OmniError::Conflict { .. })) => {
                    if attempt < tries {
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(Halt::Omni(OmniError::TooLarge { limit })) => {
                    let message = format!("the result has more than {limit} bytes");
                    return Ok(subject.failed(&self.store, "result_too_large", &message));
                }
                Err(halt) => return Err(halt),
            }
        }
        let status = self.status(subject).await?;
        if status.state != JobState::Complete {
            return if status.state.is_final() {
                Ok(subject.job_failed(&self.store, &status))
            } else {
                Err(Halt::Odd(format!("the result is missing and the job is {}", status.state)))
            };
        }
        // Omni kept the summary but not the result: an answer, flagged.
        self.answered(subject, JobResult::from_summary(status.result_summary.unwrap_or_default())).await
    }

    async fn answered(&self, subject: &mut Subject, mut result: JobResult) -> Ended {
        // A follow-up must find Omni's conversation, which is not known where the create's answer was never read. And where the
        // result says nothing, the status may: where that cannot be seen at all, it is an answer without words.
        let needed = subject.conversation_id.is_none();
        if needed || result.message.is_none() {
            match self.status(subject).await {
                Ok(status) => result.message = result.message.or(status.result_summary),
                Err(Halt::Omni(OmniError::NotFound | OmniError::Refused { .. } | OmniError::BadBody { .. }))
                    if !needed => {}
                Err(halt) => return Err(halt),
            }
        }
        if subject.chat_url.is_none() {
            subject.chat_url.clone_from(&result.omni_chat_url);
        }
        let key = self.store.keys().payload(&subject.conversation, subject.prompt_id);
        Ok(answer(subject.about(&self.store).data(), result, &key, self.inline_max))
    }

    async fn status(&self, subject: &mut Subject) -> Result<JobStatus, Halt> {
        let permit = self.keys.finish(subject.key_id.as_deref()).await?;
        let status = self.omni.status(permit.key(), subject.job()).await;
        let status = self.keys.heard(&permit, status).await?;
        subject.conversation_id = subject.conversation_id.take().or(status.conversation_id.map(|id| id.to_string()));
        subject.chat_url = subject.chat_url.take().or_else(|| status.omni_chat_url.clone());
        Ok(status)
    }

    async fn finding(&self, delivery: &Delivery, finding: &Finding) -> Result<Disposition, StoreError> {
        let record = self.store.record(finding.prompt_id).await?;
        let trace = record.as_ref().and_then(Record::trace);
        let subject = match record {
            Some(record) if record.phase.is_terminal() => return Ok(Disposition::Done),
            Some(record) => Subject::of(record, None),
            None => Subject::unknown(finding.prompt_id, finding.conversation.clone(), finding.metadata.clone()),
        };
        let end = match &finding.verdict {
            Verdict::Found { job_id, state } => {
                return self.webhook(delivery, &found(finding, *job_id, state.clone()), None).await;
            }
            Verdict::Failed { code, message } => subject.failed(&self.store, code, message),
            Verdict::Expired => subject.ends(&self.store, EntryType::Expired),
            Verdict::Cancelled => subject.ends(&self.store, EntryType::Cancelled),
            Verdict::Delayed { reason } => {
                let mut end = subject.ends(&self.store, EntryType::Delayed);
                end.data.put("reason", reason.as_str());
                end
            }
        };
        traces::within("process", SpanKind::Consumer, trace, self.publish(&subject, end, None)).await
    }

    async fn publish(&self, subject: &Subject, end: End, since: Option<u64>) -> Result<Disposition, StoreError> {
        let work = Box::pin(self.published(subject, end, since));
        traces::within("publish", SpanKind::Producer, None, work).await
    }

    /// Publishes, and says how the delivery is settled: with the entry that stands.
    async fn published(&self, subject: &Subject, end: End, since: Option<u64>) -> Result<Disposition, StoreError> {
        let about = subject.about(&self.store);
        traces::about(subject.prompt_id);
        let trace = traces::current().map(|trace| trace.to_string());
        let entry = Entry { trace, ..Entry::new(end.kind, &about, self.clock.now(), &end.data) };
        failpoint::hit("process.publish").await;
        // The result is in hand, and was paid for.
        let publish = || self.store.publish(subject.prompt_id, &entry, end.payload.as_deref());
        let published = insist(|| !self.stop.is_requested(), publish).await?;
        failpoint::hit("process.published").await;
        if published.new {
            info!(prompt.id = %subject.prompt_id, conversation.id = %subject.conversation, kind = end.kind.as_str(), "published");
            let passed = |since: u64| Duration::from_millis(self.clock.now_ms().saturating_sub(since));
            if let Some(since) = since {
                metrics::histogram!("omni_relay_webhook_to_entry_seconds").record(passed(since));
            }
            if let Some(since) = subject.accepted_at.filter(|_| end.kind.is_terminal()) {
                metrics::histogram!("omni_relay_accepted_to_entry_seconds", "type" => end.kind.as_str())
                    .record(passed(since));
            }
        }
        // A refused intake entry has no prompt to settle, and its dead letter stays open.
        let Some(phase) = published.kind.ends_in().filter(|_| subject.known || subject.job_id.is_some()) else {
            return Ok(Disposition::Tell(Box::new(entry), published));
        };
        if subject.attached {
            self.store.detach(subject.prompt_id).await?;
        }
        let fields = match end.brief.map(|brief| Entry::new(end.kind, &about, entry.time, &brief)) {
            _ if published.kind != end.kind => self.standing(&subject.conversation, &published, &entry).await?,
            Some(brief) => Entry { trace: entry.trace, ..brief }.fields(),
            None => entry.fields(),
        };
        Ok(Disposition::Settle(Box::new(Ending {
            prompt_id: subject.prompt_id,
            conversation: subject.conversation.clone(),
            job_id: subject.job_id.clone(),
            conversation_id: subject.conversation_id.clone(),
            published,
            phase,
            fields,
        })))
    }

    /// The fields of an entry of another kind that was published first.
    async fn standing(
        &self,
        conversation: &Conversation,
        published: &Published,
        ours: &Entry,
    ) -> Result<Vec<(&'static str, String)>, StoreError> {
        let stored = self.store.entry(conversation, &published.entry).await?;
        let mut fields = ours.fields();
        if let Some(stored) = stored {
            for (name, value) in &mut fields {
                if let Some((_, found)) = stored.fields.iter().find(|(stored, _)| stored == name) {
                    value.clone_from(found);
                }
            }
        }
        Ok(fields)
    }
}

/// What a webhook would have said.
fn found(finding: &Finding, job_id: Uuid, state: JobState) -> Webhook {
    Webhook {
        event_id: None,
        job_id,
        state,
        reason: None,
        prompt_id: Some(finding.prompt_id),
        conversation: Some(finding.conversation.clone()),
        received_at: 0,
        body: String::new(),
    }
}

impl Stage for Process {
    type Work = Event;
    const STREAM: Stream = Stream::Inbox;

    async fn handle(&self, delivery: &Delivery, envelope: &Envelope<Event>) -> Result<Disposition, StoreError> {
        match &envelope.work {
            Event::Webhook(webhook) => self.webhook(delivery, webhook, Some(webhook.received_at)).await,
            Event::Finding(finding) => self.finding(delivery, finding).await,
        }
    }

    fn prompt(&self, work: &Event) -> Option<PromptId> {
        match work {
            Event::Webhook(webhook) => webhook.prompt_id,
            Event::Finding(finding) => Some(finding.prompt_id),
        }
    }

    fn job(&self, work: &Event) -> Option<String> {
        match work {
            Event::Webhook(webhook) => Some(webhook.job_id.to_string()),
            Event::Finding(_) => None,
        }
    }

    async fn overdue(&self, _: &Event) -> Result<Disposition, StoreError> {
        let error = "waited longer than a wait may last".to_owned();
        Ok(Disposition::Bury { reason: Reason::RetriesExhausted, error, finding: None })
    }
}
