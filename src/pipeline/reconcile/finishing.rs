//! A prompt whose end is known and was not told for far too long: what was to tell it is lost. It is found again; where it
//! is not lost after all, the end that is told first stands.

use super::pace::since;
use super::run::{Look, Reconciler};
use crate::model::Verdict;
use crate::omni::OmniError;
use crate::pipeline::keyring::Halt;
use crate::runtime::millis;
use crate::store::record::Record;
use std::time::Duration;
use uuid::Uuid;

impl Reconciler {
    pub(super) async fn finishing(&self, record: &Record) -> Look {
        let (now, lost) = (self.clock.now_ms(), since(record).saturating_add(millis(self.lost_after())));
        if now < lost {
            return self.again(record, Duration::from_millis(lost - now), None, "finishing").await;
        }
        tracing::warn!(prompt.id = %record.id, "its end is known and was never told");
        let job_id: Option<Uuid> = record.job_id.as_deref().and_then(|id| id.parse().ok());
        if let (None, Some(job_id)) = (record.expiring, job_id) {
            match self.poll(record, job_id).await {
                Ok(state) if state.is_final() => {
                    return self.conclude(record, Verdict::Found { job_id, state }, "found").await;
                }
                Ok(_) | Err(Halt::Omni(OmniError::NotFound)) => {}
                Err(halt) => return self.later(record, self.pace.tuning.slowest, None, halt).await,
            }
        }
        let verdict = match record.expiring {
            Some(_) => Verdict::Expired,
            None => Verdict::Failed { code: "lost".to_owned(), message: "how it ended was lost".to_owned() },
        };
        self.conclude(record, verdict, "found").await
    }
}
