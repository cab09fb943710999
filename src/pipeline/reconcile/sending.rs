//! A create whose outcome nobody knows. It is not sent again: its job is looked for, and a person decides where none is
//! found.

use std::time::Duration;

use tracing::info;

use super::lookup::{Orphan, Seen};
use super::pace::since;
use super::run::{Look, Reconciler};
use crate::model::{Attempt, DeadLetter, Envelope, Finding, Reason, Submit, Verdict};
use crate::pipeline::keyring::Halt;
use crate::pipeline::settle::told;
use crate::runtime::millis;
use crate::store::delivery::Stream;
use crate::store::record::Record;
use crate::store::submit::{Job, Recorded};

/// The stage that sent it: where a replay takes it.
const STAGE: &str = Stream::Prompts.stage();

impl Reconciler {
    pub(super) async fn sending(&self, record: &Record) -> Look {
        let now = self.clock.now_ms();
        let elapsed = Duration::from_millis(now.saturating_sub(since(record)));
        let pause = self.pace.next_lookup(elapsed);
        let end = self.pace.end(record);
        let over = end.is_some_and(|end| end <= now);
        let Some(prompt) = &record.request else {
            return self.give_up(record, "there is no request to look for").await;
        };
        match self.look_up(record, prompt).await {
            Ok(Seen::One(orphan)) => self.adopt(record, &orphan).await,
            Ok(Seen::None) if over => self.give_up(record, "omni shows no job of it").await,
            Ok(Seen::Unclear) if over => self.give_up(record, "omni shows more than one job that may be its").await,
            Ok(Seen::None) => self.again(record, pause, end, "unseen").await,
            Ok(Seen::Unclear) => self.again(record, pause, end, "unclear").await,
            Err(Halt::Store(error)) => Err(error),
            Err(halt) => {
                let last = end.map(|end| end.saturating_add(millis(self.pace.tuning.insist)));
                if last.is_some_and(|last| last <= now) {
                    return self.give_up(record, &format!("failed to {halt}")).await;
                }
                self.later(record, pause, if over { last } else { end }, halt).await
            }
        }
    }

    /// As if Omni had just answered the create; the job is looked at right away.
    async fn adopt(&self, record: &Record, orphan: &Orphan) -> Look {
        let (job_id, conversation_id) = (orphan.job_id.to_string(), orphan.conversation_id.to_string());
        let chat_url = orphan.chat_url.as_deref();
        let job = Job { job_id: &job_id, conversation_id: &conversation_id, chat_url };
        let now = self.clock.now_ms();
        match self.store.sent(record, job, now, now).await? {
            Recorded::In(_) => {
                info!(prompt.id = %record.id, job.id = job_id, "found the job of a create whose answer was lost");
                Ok("adopted")
            }
            Recorded::Other(_) | Recorded::Taken(_) | Recorded::Missing => Ok("moved"),
        }
    }

    async fn give_up(&self, record: &Record, why: &str) -> Look {
        let now = self.clock.now_ms();
        let error = format!("the outcome of the create is unknown: {why}");
        let reason = Reason::SubmitOutcomeUnknown;
        let work = Envelope::new(Submit { prompt_id: record.id });
        let letter = DeadLetter {
            id: record.id.to_string(),
            stage: STAGE,
            reason,
            history: vec![Attempt { at: now, error: error.clone() }],
            error,
            at: now,
            prompt_id: Some(record.id),
            job_id: record.job_id.clone(),
            conversation: Some(record.conversation.clone()),
            tenant: record.tenant(),
            original: serde_json::to_vec(&work).unwrap_or_default(),
        };
        let verdict = Verdict::Delayed { reason: reason.as_str().to_owned() };
        let finding = Finding::new(record.id, record.conversation.clone(), verdict);
        if !self.store.bury_seen(&letter, record, &finding).await? {
            return Ok("moved");
        }
        told(&letter, &letter.error);
        Ok("dead")
    }
}
