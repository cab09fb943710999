//! Prompts that stand in Redis as if Omni worked on them, and the webhooks that say it is done.

use anyhow::Context;
use bytes::Bytes;
use jiff::Timestamp;
use omni_relay::model::{Body, Conversation, Defaults, Envelope, Event, JobState, PromptId, Webhook};
use omni_relay::omni::signature::sign;
use serde_json::json;
use uuid::Uuid;

use crate::bed::{Bed, MODEL, SECRET};
use crate::load::request;

/// A prompt whose job is Omni's.
pub(crate) struct Prompt {
    pub(crate) id: PromptId,
    pub(crate) job: Uuid,
    pub(crate) conversation: Conversation,
}

impl Prompt {
    pub(crate) fn new() -> Self {
        let id = PromptId::new(Timestamp::now());
        let conversation = Conversation::from_full(&id.to_string()).expect("an id is a name");
        Self { id, job: Uuid::new_v4(), conversation }
    }

    pub(crate) fn many(count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::new()).collect()
    }

    /// Omni's webhook, as it goes over the wire: about 300 bytes of body.
    pub(crate) fn webhook(&self) -> Bytes {
        let timestamp = Timestamp::now().as_second().to_string();
        let body = self.body();
        let signature = sign(&SECRET.into(), &timestamp, body.as_bytes());
        let headers = [("x-omni-signature-timestamp", timestamp.as_str()), ("x-omni-signature", &signature)];
        request("POST", "/webhooks/omni", &headers, &body)
    }

    pub(crate) fn body(&self) -> String {
        json!({
            "event_id": format!("evt_{}_COMPLETE", self.job), "jobId": self.job, "status": "COMPLETE",
            "result_summary": "Sales rose in May, mostly in the north.", "completed_at": "2025-01-24T10:30:00Z",
            "metadata": {"promptId": self.id, "conversation": self.conversation.as_str()},
        })
        .to_string()
    }

    /// The webhook as the receiver leaves it in the inbox.
    fn entry(&self) -> String {
        let webhook = Webhook {
            event_id: Some(format!("evt_{}_COMPLETE", self.job)),
            job_id: self.job,
            state: JobState::Complete,
            reason: None,
            prompt_id: Some(self.id),
            conversation: Some(self.conversation.clone()),
            received_at: u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default(),
            body: self.body(),
        };
        serde_json::to_string(&Envelope::new(Event::Webhook(webhook))).expect("JSON")
    }
}

/// What is asked of the relay.
pub(crate) fn question() -> String {
    json!({"prompt": "How were sales in May?", "userId": MODEL, "modelId": MODEL}).to_string()
}

/// Writes the records of prompts that Omni works on, as `accept`, `send` and `sent` leave them.
pub(crate) async fn submitted(bed: &Bed, prompts: &[Prompt]) -> anyhow::Result<()> {
    let keys = bed.store.keys();
    let now = Timestamp::now().as_millisecond();
    let asked = Body::parse(question().as_bytes(), Defaults::default()).ok().context("a prompt")?;
    let asked = serde_json::to_string(&asked.prompt)?;
    for some in prompts.chunks(500) {
        let mut pipe = redis::pipe();
        for prompt in some {
            let id = prompt.id.to_string();
            let omnis = Uuid::from_u128(prompt.job.as_u128() ^ 1).to_string();
            pipe.cmd("HSET").arg(keys.prompt(&id)).ignore();
            for (name, value) in [
                ("v", "1"),
                ("phase", "submitted"),
                ("conversation", prompt.conversation.as_str()),
                ("request", &asked),
                ("metadata", "{}"),
                ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                ("jobId", &prompt.job.to_string()),
                ("conversationId", &omnis),
                ("backlog", "100 "),
            ] {
                pipe.arg(name).arg(value);
            }
            for phase in ["accepted", "queued", "sending", "submitted"] {
                pipe.arg(format!("at:{phase}")).arg(now);
            }
            pipe.cmd("SET").arg(keys.job(&prompt.job.to_string())).arg(&id).ignore();
            pipe.cmd("HSET").arg(keys.slot(&prompt.conversation)).arg("user").arg("u").arg("active").arg(&id);
            pipe.arg("conversationId").arg(&omnis).ignore();
            pipe.cmd("SET").arg(keys.alias(&omnis)).arg(prompt.conversation.as_str()).ignore();
            pipe.cmd("ZADD").arg(&keys.deadlines).arg(now + 3_600_000).arg(&id).ignore();
            pipe.cmd("HINCRBY").arg(&keys.backlog).arg("prompts").arg(1).ignore();
            pipe.cmd("HINCRBY").arg(&keys.backlog).arg("bytes").arg(100).ignore();
        }
        pipe.query_async::<()>(&mut bed.redis.clone()).await?;
    }
    Ok(())
}

/// Puts the webhooks of prompts into the inbox.
pub(crate) async fn told(bed: &Bed, prompts: &[Prompt]) -> anyhow::Result<()> {
    add(bed, &bed.store.keys().inbox, prompts, Prompt::entry).await
}

/// Puts something of prompts into a stream.
pub(crate) async fn add(
    bed: &Bed,
    stream: &str,
    prompts: &[Prompt],
    entry: impl Fn(&Prompt) -> String,
) -> anyhow::Result<()> {
    for some in prompts.chunks(500) {
        let mut pipe = redis::pipe();
        for prompt in some {
            pipe.cmd("XADD").arg(stream).arg("*").arg("entry").arg(entry(prompt)).ignore();
        }
        pipe.query_async::<()>(&mut bed.redis.clone()).await?;
    }
    Ok(())
}
