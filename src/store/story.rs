//! Reading what else there is to tell about a prompt: lines, letters, the audit.

use redis::streams::StreamRangeReply;

use super::audit::{Audited, audited};
use super::delivery::{Stream, due_member};
use super::letters::attempts;
use super::record::Record;
use super::{Store, StoreError};
use crate::model::{Attempt, Conversation, PromptId, Tenant};

/// Longest part of a line that is looked at.
const LINE: isize = 1000;

/// Who has a conversation, and who waits for it.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Whether anything is known of it.
    pub known: bool,
    /// The prompt that is being answered.
    pub active: Option<String>,
    /// Those behind it, in their order; a thousand at most.
    pub waiting: Vec<String>,
}

/// What is left of a prompt's deaths.
#[derive(Debug, Clone, Default)]
pub struct Deaths {
    /// Where and of what it died last, and when (unix milliseconds).
    pub last: Option<(String, String, u64)>,
    /// Every attempt.
    pub attempts: Vec<Attempt>,
}

impl Store {
    /// Who has a conversation.
    pub async fn line(&self, conversation: &Conversation) -> Result<Line, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.slot(conversation)).arg("user").arg("active");
        let (user, active): (Option<String>, Option<String>) = self.redis.query(&command).await?;
        let waiting = self.head(&self.keys.waiting(conversation)).await?;
        Ok(Line { known: user.is_some(), active, waiting })
    }

    /// How many prompts of its tenant have their turn before this one; `None` where it does not wait for a turn, or so many
    /// are before it that nobody counts.
    pub async fn before(&self, record: &Record) -> Result<Option<usize>, StoreError> {
        let line = self.head(&self.keys.ready(record.tenant().as_str())).await?;
        Ok(line.iter().position(|id| *id == record.id.to_string()))
    }

    async fn head(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let mut command = redis::cmd("LRANGE");
        command.arg(key).arg(0).arg(LINE - 1);
        self.redis.query(&command).await
    }

    /// When a prompt that was put aside before it was sent comes back, unix milliseconds.
    pub async fn put_aside_until(&self, id: PromptId) -> Result<Option<u64>, StoreError> {
        self.score(&self.keys.due, &due_member(Stream::Prompts, &id.to_string())).await
    }

    /// When an unfinished prompt is looked at next, unix milliseconds.
    pub async fn next_check(&self, id: PromptId) -> Result<Option<u64>, StoreError> {
        self.score(&self.keys.deadlines, &id.to_string()).await
    }

    async fn score(&self, key: &str, member: &str) -> Result<Option<u64>, StoreError> {
        let mut command = redis::cmd("ZSCORE");
        command.arg(key).arg(member);
        let score: Option<f64> = self.redis.query(&command).await?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scores are unix milliseconds")]
        Ok(score.map(|score| score as u64))
    }

    /// What is left of a prompt's deaths, whether its letter is open or closed.
    pub async fn deaths(&self, id: PromptId) -> Result<Deaths, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.letter(&id.to_string())).arg("stage").arg("reason").arg("lastAt").arg("history");
        let (stage, reason, at, history): (Option<String>, Option<String>, Option<u64>, Option<String>) =
            self.redis.query(&command).await?;
        let last = stage.zip(reason).zip(at).map(|((stage, reason), at)| (stage, reason, at));
        Ok(Deaths { last, attempts: attempts(&history.unwrap_or_default())? })
    }

    /// The job that a webhook told of, by the id of its event; as long as the event is remembered.
    pub async fn job_of_event(&self, event_id: &str) -> Result<Option<String>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.seen_event(event_id));
        let job: Option<String> = self.redis.query(&command).await?;
        // Version 0.1.0 wrote that it came, and not what it was about.
        Ok(job.filter(|job| job != "1"))
    }

    /// The prompt that an idempotency key of a tenant stands for.
    pub async fn prompt_of_key(&self, tenant: &Tenant, key: &str) -> Result<Option<PromptId>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.idempotency(tenant, Some(key)));
        let mark: Option<String> = self.redis.query(&command).await?;
        Ok(mark.and_then(|mark| mark.split(' ').next()?.parse().ok()))
    }

    /// Changes from `since` (unix milliseconds) on, at most `most` of them, the oldest first.
    pub async fn audit_since(&self, since: u64, most: usize) -> Result<Vec<Audited>, StoreError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(&self.keys.audit).arg(since).arg("+").arg("COUNT").arg(most);
        let reply: StreamRangeReply = self.redis.query(&command).await?;
        Ok(reply.ids.iter().map(audited).collect())
    }
}
