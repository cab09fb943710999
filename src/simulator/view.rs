//! What tests and the demo see of a simulator.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::job::{Job, JobState};

/// One job. No `Debug`: it holds the prompt.
#[derive(Clone)]
pub struct JobView {
    pub id: Uuid,
    pub conversation_id: Uuid,
    pub prompt: String,
    /// None: it ran as the owner of the key.
    pub user_id: Option<Uuid>,
    pub state: JobState,
    /// What came along.
    pub attachments: Vec<File>,
    pub webhook_metadata: Option<Map<String, Value>>,
    /// 0 for the first job of this simulator.
    pub order: usize,
    /// Somebody asked to cancel it; whether it is, `state` says.
    pub cancel_asked: bool,
    /// Rating and comment, once somebody rated it.
    pub feedback: Option<(String, Option<String>)>,
    pub created: Timestamp,
    /// None: it still runs.
    pub finished: Option<Timestamp>,
    /// Webhooks sent with a true signature, every try counted, progress left out.
    pub deliveries: usize,
    /// What the last of them got; none: nothing was sent, or there was no answer.
    pub last_delivery: Option<u16>,
    /// What the forged one got.
    pub forgery: Option<u16>,
}

impl JobView {
    pub(super) fn of(job: &Job, order: usize) -> Self {
        Self {
            id: job.id,
            conversation_id: job.conversation,
            prompt: job.prompt.clone(),
            user_id: job.user,
            state: job.state,
            attachments: job.files.clone(),
            webhook_metadata: job.webhook.as_ref().and_then(|target| target.metadata.clone()),
            order,
            cancel_asked: job.cancel_asked,
            feedback: job.feedback.clone(),
            created: job.created,
            finished: job.finished,
            deliveries: job.deliveries.len(),
            last_delivery: job.deliveries.last().copied().flatten(),
            forgery: job.forgeries.last().copied().flatten(),
        }
    }
}

/// An attachment; of its content only a digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub mime_type: String,
    pub name: Option<String>,
    pub bytes: usize,
    /// In hex.
    pub sha256: String,
}

/// One request that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    /// None: not answered yet, or never.
    pub status: Option<u16>,
}
