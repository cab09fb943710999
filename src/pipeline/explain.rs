//! explain: takes an id of anything, and tells what happened to it and what happens next. Changes nothing.

use std::sync::Arc;

use uuid::Uuid;

use super::keyring::KeyRing;
use super::reconcile::Pace;
use super::steps::phases;
use super::story::{Kind, Next, Step, Story};
use crate::model::entry::EntryType;
use crate::model::{Attempt, Cause, Conversation, Phase, PromptId, Tenant};
use crate::runtime::{Clock, millis};
use crate::store::audit::{Audited, at};
use crate::store::conversation::Stored;
use crate::store::delivery::Stream;
use crate::store::pauses::{Pausable, Paused};
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// How many entries of a conversation, and of the audit, are looked through for one prompt.
const MOST: usize = 2000;
/// How many entries of a conversation are told, or read at once.
const TOLD: usize = 100;
/// How far the clocks of the relay and of Redis may be apart.
const APART: u64 = 60_000;

/// Explains.
#[derive(Clone)]
pub struct Explainer {
    store: Store,
    keys: Arc<KeyRing>,
    pace: Pace,
    clock: Clock,
}

impl Explainer {
    /// An explainer.
    pub const fn new(store: Store, keys: Arc<KeyRing>, pace: Pace, clock: Clock) -> Self {
        Self { store, keys, pace, clock }
    }

    /// The story of whatever `id` names: a prompt, a job, an event of Omni's or an entry, a dead letter, a conversation (the
    /// relay's name or Omni's id), an idempotency key. `prompt:`, `job:`, `event:`, `conversation:` and `idempotency:` before
    /// it say what it is. Conversations and idempotency keys are `tenant`'s. `None` where nothing is known of it.
    pub async fn explain(&self, id: &str, tenant: &Tenant) -> Result<Option<Story>, StoreError> {
        let (named, rest) = match id.split_once(':') {
            Some((word @ ("prompt" | "job" | "event" | "conversation" | "idempotency"), rest)) => (Some(word), rest),
            _ => (None, id),
        };
        let may_be = |kind: &str| named.is_none_or(|named| named == kind);
        let uuid = Uuid::try_parse(rest).is_ok();
        if uuid
            && may_be("prompt")
            && let Some(story) = self.prompt(Kind::Prompt, id, rest.parse().ok()).await?
        {
            return Ok(Some(story));
        }
        if uuid && may_be("job") {
            let prompt = self.store.prompt_of_job(rest).await?;
            if let Some(story) = self.prompt(Kind::Job, id, prompt).await? {
                return Ok(Some(story));
            }
        }
        if may_be("event")
            && let Some(story) = self.event(id, rest).await?
        {
            return Ok(Some(story));
        }
        if named.is_none()
            && let Some(story) = self.letter(rest).await?
        {
            return Ok(Some(story));
        }
        if may_be("conversation")
            && let Some(story) = self.conversation(id, rest, tenant).await?
        {
            return Ok(Some(story));
        }
        if may_be("idempotency") {
            let prompt = self.store.prompt_of_key(tenant, rest).await?;
            return self.prompt(Kind::IdempotencyKey, id, prompt).await;
        }
        Ok(None)
    }

    /// An event of Omni's, or an entry: `<promptId>:<type>`.
    async fn event(&self, id: &str, event: &str) -> Result<Option<Story>, StoreError> {
        let entry = event.split_once(":omni.").and_then(|(prompt, _)| prompt.parse().ok());
        let prompt = match (entry, self.store.job_of_event(event).await?) {
            (Some(prompt), _) => Some(prompt),
            (None, Some(job)) => self.store.prompt_of_job(&job).await?,
            (None, None) => None,
        };
        self.prompt(Kind::Event, id, prompt).await
    }

    /// A letter that is nobody's prompt.
    async fn letter(&self, id: &str) -> Result<Option<Story>, StoreError> {
        let Some(letter) = self.store.letter(id).await? else { return Ok(None) };
        let mut steps: Vec<Step> = letter.history.iter().map(attempt).collect();
        let died = u64::try_from(letter.letter.last_at.as_millisecond()).unwrap_or_default();
        steps.push(died_of(&letter.letter.stage, &letter.letter.reason, died));
        Ok(Some(Story {
            kind: Kind::DeadLetter,
            id: id.to_owned(),
            prompt_id: None,
            conversation: letter.letter.conversation.as_ref().map(ToString::to_string),
            job_id: letter.letter.job_id.clone(),
            phase: None,
            trace_id: None,
            steps,
            next: Some(Next::new("nothing, until a person replays or discards it")),
            waiting: Vec::new(),
            owner: letter.letter.owner(),
        }))
    }

    async fn conversation(&self, id: &str, name: &str, tenant: &Tenant) -> Result<Option<Story>, StoreError> {
        let own = Conversation::new(tenant, name).or_else(|| Conversation::from_full(name));
        let Some(conversation) = self.store.named(own, name, |_| true).await? else { return Ok(None) };
        let line = self.store.line(&conversation).await?;
        let entries = self.store.newest(&conversation, TOLD).await?;
        if !line.known && entries.is_empty() {
            return Ok(None);
        }
        let step = |entry: &Stored| {
            let prompt = entry.name().split(':').next().unwrap_or_default();
            published(entry).detail(format!("prompt {prompt}"))
        };
        let open = line.active.as_deref().map_or_else(|| without_end(&entries), |id| id.parse().ok());
        let next = match self.prompt(Kind::Prompt, "", open).await? {
            Some(story) => story.next.map(|next| Next { on: next.on.or(story.prompt_id), ..next }),
            None => None,
        };
        Ok(Some(Story {
            kind: Kind::Conversation,
            id: id.to_owned(),
            prompt_id: line.active,
            conversation: Some(conversation.to_string()),
            job_id: None,
            phase: None,
            trace_id: None,
            steps: entries.iter().map(step).collect(),
            next,
            waiting: line.waiting,
            owner: conversation.tenant(),
        }))
    }

    async fn prompt(&self, kind: Kind, id: &str, prompt: Option<PromptId>) -> Result<Option<Story>, StoreError> {
        let Some(prompt) = prompt else { return Ok(None) };
        let Some(record) = self.store.record(prompt).await? else { return Ok(None) };
        let mut steps = phases(&record);
        steps.extend(self.published(&record).await?);
        steps.extend(self.decided(&record).await?);
        let deaths = self.store.deaths(prompt).await?;
        steps.extend(deaths.attempts.iter().map(attempt));
        steps.extend(deaths.last.map(|(stage, reason, at)| died_of(&stage, &reason, at)));
        for (stage, number, at, error) in &record.failed {
            if !deaths.attempts.iter().any(|attempt| attempt.at == *at) {
                steps.push(Step::new(*at, format!("attempt {number} of {stage} failed")).detail(error));
            }
        }
        steps.sort_by_key(|step| step.at);
        let next = self.next(&record).await?;
        Ok(Some(Story {
            kind,
            id: id.to_owned(),
            prompt_id: Some(prompt.to_string()),
            conversation: Some(record.conversation.to_string()),
            phase: Some(record.phase.as_str()),
            trace_id: record.trace_id(),
            steps,
            next,
            waiting: Vec::new(),
            owner: record.tenant(),
            job_id: record.job_id,
        }))
    }

    /// What its readers were told, up to its end. Page by page: entries may be large.
    async fn published(&self, record: &Record) -> Result<Vec<Step>, StoreError> {
        let own = format!("{}:", record.id);
        let mut after = record.accepted_at().saturating_sub(APART).to_string();
        let mut steps = Vec::new();
        for _ in 0..MOST / TOLD {
            let entries = self.store.entries(&record.conversation, &after, TOLD).await?;
            let Some(last) = entries.last() else { break };
            after.clone_from(&last.id);
            let over = entries.iter().any(|entry| Some(&entry.id) == record.entry.as_ref());
            let of_it = entries.iter().filter(|entry| entry.name().starts_with(&own));
            steps.extend(of_it.map(published));
            if over {
                break;
            }
        }
        Ok(steps)
    }

    /// What people decided about it, and what they paused and resumed while it was under way.
    async fn decided(&self, record: &Record) -> Result<Vec<Step>, StoreError> {
        let ended = record.at.iter().filter(|(phase, _)| phase.is_terminal()).map(|(_, at)| *at).max();
        let since = record.accepted_at().saturating_sub(APART);
        let (prompt, tenant) = (record.id.to_string(), Pausable::Tenant(record.tenant()).to_string());
        let concerns = |id: &str| id == prompt || id == tenant || id.starts_with("stage:");
        let audit = self.store.audit_since(since, MOST).await?;
        let while_under_way = audit.into_iter().filter(|one| {
            let at = u64::try_from(one.at.as_millisecond()).unwrap_or_default();
            concerns(&one.id) && ended.is_none_or(|ended| at <= ended.saturating_add(APART))
        });
        let told = |one: Audited| {
            let id = if one.id == prompt { String::new() } else { format!(" of {}", one.id.replace(':', " ")) };
            Step { at: one.at, ..Step::new(0, format!("{}{id} by {}", one.what, one.who)) }
        };
        Ok(while_under_way.map(told).collect())
    }

    async fn next(&self, record: &Record) -> Result<Option<Next>, StoreError> {
        let now = self.clock.now_ms();
        let pauses = self.store.pauses().await?;
        let is_paused = |what: Pausable| pauses.iter().find(|pause| pause.what == what);
        let next = match record.phase {
            Phase::Waiting => self.in_line(record).await?,
            Phase::Queued => match is_paused(Pausable::Tenant(record.tenant())) {
                Some(pause) => held_back("its tenant is", pause),
                None => match is_paused(Pausable::Stage(Stream::Prompts)) {
                    Some(pause) => held_back("the stage submit is", pause),
                    None => self.to_be_sent(record, now).await?,
                },
            },
            Phase::Sending => {
                let check = self.store.next_check(record.id).await?;
                Next::new("Omni answers the create; else it is looked for in Omni's conversations").at(check)
            }
            Phase::Submitted | Phase::Finishing if let Some(pause) = is_paused(Pausable::Stage(Stream::Inbox)) => {
                held_back("the stage process is", pause)
            }
            Phase::Submitted => {
                let check = self.store.next_check(record.id).await?;
                let told =
                    if self.pace.after.is_some() { "Omni's webhook tells its end; else" } else { "Omni works, and" };
                Next::new(format!("{told} the job is looked at")).at(check)
            }
            Phase::Finishing => match &record.waits {
                Some((stage, cause, until)) if stage == Stream::Inbox.stage() && *until > now => {
                    Next::new("its end is published").at(Some(*until)).cause(*cause)
                }
                _ => Next::new("its end is published"),
            },
            Phase::Dead => Next::new("nothing, until a person replays or discards it, or its job ends after all"),
            _ => return Ok(None),
        };
        let expires_at = self.pace.end(record).map(super::story::time);
        Ok(Some(Next { expires_at, ..next }))
    }

    async fn in_line(&self, record: &Record) -> Result<Next, StoreError> {
        let line = self.store.line(&record.conversation).await?;
        let before = line.waiting.iter().position(|id| *id == record.id.to_string()).unwrap_or(line.waiting.len());
        let what = match before {
            0 => "it is asked once the prompt before it has ended".to_owned(),
            1 => "it is asked once the prompt before it, and one that waits, have ended".to_owned(),
            some => format!("it is asked once the prompt before it, and {some} that wait, have ended"),
        };
        Ok(Next { on: line.active, ..Next::new(what) }.cause(Cause::Conversation))
    }

    async fn to_be_sent(&self, record: &Record, now: u64) -> Result<Next, StoreError> {
        if let Some(until) = self.store.put_aside_until(record.id).await? {
            let next = Next::new("it is tried again").at(Some(until));
            return Ok(match record.waits {
                Some((_, cause, _)) => next.cause(cause),
                None => next,
            });
        }
        let before = match self.store.before(record).await? {
            None | Some(0) => String::new(),
            Some(1) => "; one prompt of its tenant is before it".to_owned(),
            Some(some) => format!("; {some} prompts of its tenant are before it"),
        };
        let next = Next::new(format!("it is sent to Omni{before}"));
        Ok(match self.keys.startable(1).await? {
            Ok(_) => next.cause(Cause::Turn),
            Err((pause, cause)) => {
                let pause = millis(pause);
                next.cause(cause).at(Some(now.saturating_add(pause)))
            }
        })
    }
}

/// The last prompt of which readers were told no end: where none is active, one that is dead.
fn without_end(entries: &[Stored]) -> Option<PromptId> {
    let mut ended = Vec::new();
    entries.iter().rev().find_map(|entry| {
        let (prompt, _) = entry.name().split_once(':')?;
        if EntryType::parse(&entry.kind).is_some_and(EntryType::is_terminal) {
            ended.push(prompt);
        }
        (!ended.contains(&prompt)).then(|| prompt.parse().ok()).flatten()
    })
}

fn attempt(attempt: &Attempt) -> Step {
    Step::new(attempt.at, "an attempt failed").detail(&attempt.error)
}

fn published(entry: &Stored) -> Step {
    Step { at: at(&entry.id), ..Step::new(0, format!("{} is published", entry.kind)) }
}

fn died_of(stage: &str, reason: &str, at: u64) -> Step {
    Step::new(at, "it becomes a dead letter").detail(format!("in {stage}: {reason}"))
}

fn held_back(what: &str, pause: &Paused) -> Next {
    Next::new(format!("nothing: {what} paused, by {} at {}", pause.note.who, pause.note.at)).cause(Cause::Paused)
}
