//! The least that keeps what is promised of an answer: once in its conversation and once in `answers`, within Omni's budget, by
//! whoever holds the delivery, with a record that tells where the prompt stands and a conversation that goes on. There is no
//! follow-up that waits, no dead letter, no deadline that passed, no retry, no metric and no log: what the relay has besides.

use std::sync::Arc;

use anyhow::{Context, ensure};
use omni_relay::model::{Conversation, PromptId};
use omni_relay::store::keys::Keys;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamId;
use redis::{Script, ScriptInvocation};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::bed::NAMESPACE;
use crate::ceiling::{CONSUMER, INBOX, each, fetch};

const FINISH: &str = "
  if #redis.call('XPENDING', KEYS[2], 'relay', ARGV[1], ARGV[1], 1, ARGV[2]) == 0 then return {} end
  local earliest = redis.call('LINDEX', KEYS[3], -100000)
  if earliest and ARGV[3] - earliest < 60000 then return {} end
  local record = redis.call('HMGET', KEYS[1], 'phase', 'conversationId', 'keyId', 'metadata', 'at:accepted')
  redis.call('HSET', KEYS[1], 'phase', 'finishing', 'at:finishing', ARGV[3])
  redis.call('RPUSH', KEYS[3], ARGV[3])
  return record";
const PUBLISH: &str = "
  if redis.call('EXISTS', KEYS[2]) == 1 then return '' end
  local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10000, '*', unpack(ARGV, 4))
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], id, 'PX', ARGV[1])
  redis.call('PUBLISH', ARGV[2], ARGV[3])
  return id";
const SETTLE: &str = "
  if #redis.call('XPENDING', KEYS[4], 'relay', ARGV[1], ARGV[1], 1, ARGV[2]) == 0 then return 0 end
  redis.call('HSET', KEYS[1], 'phase', 'answered', 'at:answered', ARGV[3], 'entry', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  redis.call('HINCRBY', KEYS[6], 'prompts', -1)
  redis.call('HINCRBY', KEYS[6], 'bytes', -100)
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', 1000000, '*', unpack(ARGV, 7))
  redis.call('ZREM', KEYS[3], ARGV[6])
  redis.call('HDEL', KEYS[2], 'active')
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  redis.call('XACK', KEYS[4], 'relay', ARGV[1])
  redis.call('XDEL', KEYS[4], ARGV[1])
  return 1";
const RETENTION: u64 = 1_209_600_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    job_id: Uuid,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    prompt_id: PromptId,
    conversation: String,
}

/// One with its connections.
#[derive(Clone)]
struct Consumer {
    keys: Arc<Keys>,
    http: reqwest::Client,
    redis: MultiplexedConnection,
    omni: String,
    scripts: [Script; 3],
}

pub(crate) async fn consume(client: &redis::Client, redis: MultiplexedConnection, omni: &str) -> anyhow::Result<()> {
    let keys = Arc::new(Keys::new(NAMESPACE));
    let scripts = [FINISH, PUBLISH, SETTLE].map(Script::new);
    let consumer = Consumer { keys, http: reqwest::Client::new(), redis, omni: omni.to_owned(), scripts };
    each(client, INBOX, |entry| consumer.clone().answer(entry)).await
}

impl Consumer {
    async fn answer(mut self, delivery: StreamId) -> anyhow::Result<()> {
        let entry: String = delivery.get("entry").context("an entry")?;
        let Webhook { job_id, metadata: Metadata { prompt_id: prompt, conversation } } = serde_json::from_str(&entry)?;
        let conversation = Conversation::from_full(&conversation).context("a conversation")?;
        let (keys, now, id) = (&self.keys, jiff::Timestamp::now(), prompt.to_string());
        let [finish, publish, settle] = &self.scripts;
        let (record, slot) = (keys.prompt(&id), keys.slot(&conversation));

        let mut call = finish.key(&record);
        call.key(INBOX).key("{relay}:granted").arg(&delivery.id).arg(CONSUMER).arg(now.as_millisecond());
        let known: Vec<Option<String>> = call.invoke_async(&mut self.redis).await?;
        ensure!(!known.is_empty(), "the delivery is another's, or the budget is used up");
        let result = fetch(&self.http, &self.omni, &job_id.to_string()).await?;
        let result: &serde_json::value::RawValue = serde_json::from_slice(&result)?;
        let data = json!({"promptId": prompt, "jobId": job_id, "conversationId": known.get(1)}).to_string();
        let data = format!("{},\"result\":{}}}", data.trim_end_matches('}'), result.get());
        let (kind, now) = ("omni.answer", now.to_string());
        let fields = [
            ("specversion", "1.0"),
            ("id", &format!("{id}:{kind}")),
            ("source", "/omni-relay/relay"),
            ("type", kind),
            ("subject", conversation.as_str()),
            ("time", &now),
            ("datacontenttype", "application/json"),
            ("data", &data),
        ];
        let with_fields = |call: &mut ScriptInvocation<'_>| {
            for (name, value) in fields {
                call.arg(name).arg(value);
            }
        };
        let mut call = publish.key(keys.conversation(&conversation));
        call.key(keys.done(&conversation, prompt)).arg(RETENTION).arg(&keys.wake).arg(conversation.as_str());
        with_fields(&mut call);
        let published: String = call.invoke_async(&mut self.redis).await?;
        let mut call = settle.key(&record);
        call.key(&slot).key(&keys.deadlines).key(INBOX).key(&keys.answers).key(&keys.backlog);
        call.arg(&delivery.id).arg(CONSUMER).arg(&now).arg(published).arg(RETENTION).arg(&id);
        with_fields(&mut call);
        ensure!(call.invoke_async::<bool>(&mut self.redis).await?, "the delivery is another's");
        Ok(())
    }
}
