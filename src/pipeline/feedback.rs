//! feedback: takes what a user thinks of an answer, leaves it behind at Omni, which takes it once.

use std::sync::Arc;

use super::keyring::{Halt, KeyRing};
use crate::model::Feedback;
use crate::omni::{Omni, OmniError};
use crate::store::record::Record;

/// Passes feedback on.
#[derive(Clone)]
pub struct Rater {
    omni: Arc<Omni>,
    keys: Arc<KeyRing>,
}

/// Why it was not passed on.
#[derive(Debug, thiserror::Error)]
pub enum NotRated {
    /// The prompt ended before Omni had a job of it.
    #[error("rate a prompt without a job")]
    NoJob,
    /// Omni has some already, or takes none.
    #[error("have omni take the feedback")]
    Refused,
    /// Omni did not say.
    #[error(transparent)]
    Halt(#[from] Halt),
}

impl Rater {
    /// `keys` grant each as a poll.
    pub const fn new(omni: Arc<Omni>, keys: Arc<KeyRing>) -> Self {
        Self { omni, keys }
    }

    /// Passes feedback on a prompt that has ended to Omni, in the name of the user it was asked for. Where the answer is
    /// lost Omni may have it: the next try is refused then.
    pub async fn rate(&self, record: &Record, feedback: &Feedback) -> Result<(), NotRated> {
        let job_id = record.job_id.as_deref().and_then(|id| id.parse().ok()).ok_or(NotRated::NoJob)?;
        let permit = self.keys.poll(record.key_id.as_deref(), 1).await?;
        let rated = self.omni.feedback(permit.key(), job_id, record.user_id, feedback).await;
        self.keys.heard(&permit, rated).await.map_err(|halt| match halt {
            Halt::Omni(OmniError::Conflict { .. } | OmniError::Refused { .. } | OmniError::NotFound) => {
                NotRated::Refused
            }
            halt => NotRated::Halt(halt),
        })
    }
}
