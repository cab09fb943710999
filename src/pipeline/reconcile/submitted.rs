//! A job that is quiet, is to be cancelled, or whose time is over.

use std::time::Duration;

use tracing::warn;
use uuid::Uuid;

use super::pace::since;
use super::run::{Look, Reconciler};
use crate::model::{JobState, Verdict};
use crate::omni::OmniError;
use crate::pipeline::keyring::Halt;
use crate::runtime::{failpoint, millis};
use crate::store::record::Record;

/// Looks in a row at which Omni does not know a job, before it is taken for gone.
const MOST_MISSES: u32 = 3;

impl Reconciler {
    pub(super) async fn submitted(&self, record: &Record) -> Look {
        let Some(job_id) = record.job_id.as_deref().and_then(|id| id.parse().ok()) else {
            warn!(prompt.id = %record.id, "a submitted prompt without a job");
            return self.again(record, self.pace.tuning.slowest, None, "waiting").await;
        };
        let now = self.clock.now_ms();
        match self.pace.end(record) {
            Some(end) if end <= now => self.overdue(record, job_id, end).await,
            end if record.cancel_requested.is_some() => self.cancel(record, job_id, end).await,
            end => self.ask(record, job_id, end).await,
        }
    }

    async fn ask(&self, record: &Record, job_id: Uuid, end: Option<u64>) -> Look {
        let elapsed = Duration::from_millis(self.clock.now_ms().saturating_sub(since(record)));
        let scarcity = self.keys.scarcity(record.key_id.as_deref());
        if let Some(rest) = self.pace.too_young(elapsed, scarcity) {
            return self.again(record, rest, end, "running").await;
        }
        let polled = self.poll(record, job_id).await;
        let pause = self.pace.next_look(elapsed, scarcity);
        match polled {
            Ok(state) if state.is_final() => self.found(record, job_id, state).await,
            Ok(state) => {
                if let JobState::Unknown(word) = &state {
                    warn!(prompt.id = %record.id, job.id = %job_id, state = word, "omni names a state that is not known");
                }
                self.again(record, pause, end, "running").await
            }
            Err(Halt::Omni(OmniError::NotFound)) => self.missing(record, end).await,
            Err(halt) => self.later(record, pause, end, halt).await,
        }
    }

    /// Somebody asked to cancel it: Omni is asked at every look, which also answers the state, until it is final.
    async fn cancel(&self, record: &Record, job_id: Uuid, end: Option<u64>) -> Look {
        let pause = self.pace.tuning.poll.1;
        let answer = self.ask_to_cancel(record, job_id).await;
        failpoint::hit("reconcile.cancelled").await;
        match answer {
            Ok(state) if state.is_final() => self.found(record, job_id, state).await,
            Ok(_) => self.again(record, pause, end, "cancelling").await,
            // Too late to cancel, or not known any more: the status tells.
            Err(Halt::Omni(OmniError::Refused { .. } | OmniError::NotFound)) => self.ask(record, job_id, end).await,
            Err(halt) => self.later(record, pause, end, halt).await,
        }
    }

    /// Its time is over: Omni is asked to cancel, once where it answers. An end that Omni tells goes before ours.
    async fn overdue(&self, record: &Record, job_id: Uuid, end: u64) -> Look {
        let (now, last) = (self.clock.now_ms(), end.saturating_add(millis(self.pace.tuning.insist)));
        if !self.store.intend_expiry(record.id, now).await? {
            return Ok("moved");
        }
        let answer = match self.ask_to_cancel(record, job_id).await {
            Err(Halt::Omni(OmniError::Refused { .. })) => self.poll(record, job_id).await,
            answer => answer,
        };
        match answer {
            Ok(state @ (JobState::Complete | JobState::Failed | JobState::Denied)) => {
                self.found(record, job_id, state).await
            }
            Ok(JobState::Cancelled) if record.cancel_requested.is_some() => {
                self.found(record, job_id, JobState::Cancelled).await
            }
            Err(Halt::Store(error)) => Err(error),
            Err(halt) if !matches!(halt, Halt::Omni(OmniError::NotFound)) && now < last => {
                self.later(record, self.pace.tuning.poll.1, Some(last), halt).await
            }
            Ok(_) => self.conclude(record, Verdict::Expired, "expired").await,
            Err(halt) => {
                warn!(prompt.id = %record.id, error = %halt, "expired without a word from omni");
                self.conclude(record, Verdict::Expired, "expired").await
            }
        }
    }

    async fn found(&self, record: &Record, job_id: Uuid, state: JobState) -> Look {
        failpoint::hit("reconcile.found").await;
        self.conclude(record, Verdict::Found { job_id, state }, "found").await
    }

    async fn missing(&self, record: &Record, end: Option<u64>) -> Look {
        if record.misses + 1 < MOST_MISSES {
            return self.again(record, self.pace.tuning.poll.1, end, "missing").await;
        }
        warn!(prompt.id = %record.id, "omni does not know the job any more");
        let (code, message) = ("job_not_found".to_owned(), "Omni does not know the job any more".to_owned());
        self.conclude(record, Verdict::Failed { code, message }, "gone").await
    }
}
