//! progress: takes what Omni says on the way, leaves behind `omni.job.progress` for those who asked for it. Best effort, and
//! safe to repeat: an iteration is told once, none after a later one, none after a later entry.

use serde_json::{Map, Value};

use super::answer::cut;
use crate::model::Entry;
use crate::model::entry::About;
use crate::omni::Progress;
use crate::runtime::Clock;
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// Longest message in bytes.
const LONGEST: usize = 4 * 1024;

/// Once this answers, Redis holds what is to be told.
pub(super) async fn tell(
    store: &Store,
    clock: &Clock,
    record: &Record,
    job_id: Option<&str>,
    progress: &Progress,
) -> Result<(), StoreError> {
    let wanted = record.request.as_ref().is_some_and(|prompt| prompt.progress);
    let Some(iteration) = progress.iteration.filter(|_| wanted) else { return Ok(()) };
    let about = About {
        namespace: store.keys().namespace(),
        prompt_id: record.id,
        conversation: &record.conversation,
        job_id,
        conversation_id: record.conversation_id.as_deref(),
        chat_url: record.chat_url.as_deref(),
        metadata: Some(&record.metadata),
    };
    let mut said: Map<String, Value> = [("iteration".to_owned(), iteration.into())].into_iter().collect();
    if let Some(message) = &progress.message {
        said.insert("message".to_owned(), cut(message, LONGEST).into());
    }
    if let Some(at) = progress.updated_at {
        said.insert("updatedAt".to_owned(), at.to_string().into());
    }
    let mut data = about.data();
    data.put("progress", &said);
    store.progress(record.id, iteration, &Entry::progress(iteration, &about, clock.now(), &data)).await
}
