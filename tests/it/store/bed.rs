//! A store on a namespace of its own, and the steps that the stories have in common.

use std::time::Duration;

use jiff::Timestamp;
use omni_relay::model::entry::About;
use omni_relay::model::{
    Body, Cause, Conversation, Defaults, Entry, EntryType, Envelope, JobState, Phase, PromptId, Submit, Webhook,
};
use omni_relay::store::accept::{Accepted, Intake};
use omni_relay::store::backlog::Limit;
use omni_relay::store::connection::Redis;
use omni_relay::store::delivery::{Delivery, Settled, Stream, Wait, Why};
use omni_relay::store::publish::Published;
use omni_relay::store::record::Record;
use omni_relay::store::settle::Ending;
use omni_relay::store::streams::Consumer;
use omni_relay::store::{Policy, Store};
use redis::FromRedisValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::redis::TestRedis;

/// The relay's clock in these tests, unix milliseconds.
pub(super) const NOW: u64 = 1_900_000_000_123;
/// Long enough for an entry that is there.
pub(super) const BLOCK: Duration = Duration::from_millis(200);
pub(super) const DAY: u64 = 24 * 3600 * 1000;

pub(super) struct Bed {
    pub(super) store: Store,
    redis: TestRedis,
}

pub(crate) fn policy() -> Policy {
    Policy {
        retention: Duration::from_millis(14 * DAY),
        answers_age: Duration::from_millis(7 * DAY),
        answers_len: 1_000_000,
        window: 1000,
        backlog: Limit { prompts: 100_000, bytes: 256 << 20, tenant_share: 20 },
    }
}

impl Bed {
    pub(super) async fn new() -> Self {
        Self::with(policy()).await
    }

    pub(super) async fn with_window(window: usize) -> Self {
        Self::with(Policy { window, ..policy() }).await
    }

    pub(super) async fn with(policy: Policy) -> Self {
        let redis = TestRedis::start().await;
        let store = Store::new(Redis::new(redis.url()).unwrap(), redis.namespace(), policy);
        Self { store, redis }
    }

    /// The same store as another process sees it.
    pub(super) fn replica(&self) -> Store {
        Store::new(Redis::new(self.redis.url()).unwrap(), self.redis.namespace(), policy())
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.store.redis().query(&command).await.unwrap()
    }

    /// Milliseconds to live, -1 without an end, -2 when there is nothing.
    pub(super) async fn life(&self, key: &str) -> i64 {
        self.ask(&["PTTL", key]).await
    }

    pub(super) async fn consumer(&self, stream: Stream, name: &str) -> Consumer {
        let consumer = Consumer::new(self.store.clone(), stream, name);
        consumer.make_group().await.unwrap();
        consumer
    }

    /// How many entries of a stream are undelivered or in work, and how many of these are in work.
    pub(super) async fn depth(&self, stream: Stream) -> (usize, usize) {
        let key = stream.key(self.store.keys()).to_owned();
        let groups: usize = self.ask(&["XLEN", &key]).await;
        let pending: redis::streams::StreamPendingReply = self.ask(&["XPENDING", &key, "relay"]).await;
        (groups, pending.count())
    }

    pub(super) async fn try_accept(&self, id: PromptId, conversation: &str, body: &Body) -> Accepted {
        accept(&self.store, id, conversation, body, None).await
    }

    /// Accepts a new prompt.
    pub(super) async fn accept(&self, conversation: &str) -> PromptId {
        let id = new_id();
        let accepted = self.try_accept(id, conversation, &body(&json!({}))).await;
        assert!(matches!(accepted, Accepted::New(_)), "{accepted:?}");
        id
    }

    pub(super) async fn record(&self, id: PromptId) -> Record {
        self.store.record(id).await.unwrap().expect("a record")
    }

    pub(super) async fn phase(&self, id: PromptId) -> Phase {
        self.record(id).await.phase
    }

    pub(super) async fn slot(&self, conversation: &str, field: &str) -> Option<String> {
        self.ask(&["HGET", &self.store.keys().slot(&named(conversation)), field]).await
    }

    pub(super) async fn line(&self, conversation: &str) -> Vec<String> {
        self.ask(&["LRANGE", &self.store.keys().waiting(&named(conversation)), "0", "-1"]).await
    }

    pub(super) async fn deadline(&self, id: PromptId) -> Option<f64> {
        self.ask(&["ZSCORE", &self.store.keys().deadlines, &id.to_string()]).await
    }

    /// A delivery of the inbox, of a webhook that concerns nobody else.
    pub(super) async fn inbox(&self, consumer: &mut Consumer) -> Delivery {
        self.store.receive(webhook(Uuid::new_v4())).await.unwrap();
        next(consumer).await
    }

    pub(super) async fn publish(&self, id: PromptId, conversation: &str, kind: EntryType) -> Published {
        self.store.publish(id, &entry(id, conversation, kind), None).await.unwrap()
    }

    /// What `process` does with a final state: finish, publish, settle.
    pub(super) async fn end(&self, inbox: &mut Consumer, id: PromptId, conversation: &str, kind: EntryType) -> Settled {
        let delivery = self.inbox(inbox).await;
        self.store.finish(None, (id, None), NOW, Duration::ZERO, None).await.unwrap();
        let ending = self.ending(id, conversation, kind).await;
        self.store.settle(&delivery, &ending, NOW).await.unwrap()
    }

    /// Publishes, and says what is to be settled.
    pub(super) async fn ending(&self, id: PromptId, conversation: &str, kind: EntryType) -> Ending {
        let entry = entry(id, conversation, kind);
        let published = self.store.publish(id, &entry, None).await.unwrap();
        let record = self.store.record(id).await.unwrap();
        Ending {
            prompt_id: id,
            conversation: named(conversation),
            job_id: record.as_ref().and_then(|record| record.job_id.clone()),
            conversation_id: record.and_then(|record| record.conversation_id),
            phase: published.kind.ends_in().expect("a terminal entry stands"),
            published,
            fields: entry.fields(),
        }
    }
}

pub(super) async fn accept(
    store: &Store,
    id: PromptId,
    conversation: &str,
    body: &Body,
    from: Option<&Delivery>,
) -> Accepted {
    let (conversation, traceparent) = (named(conversation), "00-00000000000000000000000000000001-0000000000000001-01");
    let intake = Intake {
        id,
        conversation: &conversation,
        body,
        traceparent,
        now: NOW,
        first_check: NOW + 75_000,
        may_adopt: true,
    };
    store.accept(&intake, from).await.unwrap()
}

pub(super) fn new_id() -> PromptId {
    PromptId::new(Timestamp::UNIX_EPOCH)
}

pub(super) fn named(conversation: &str) -> Conversation {
    Conversation::from_full(conversation).unwrap()
}

/// A body with these members besides the usual ones.
pub(super) fn body(members: &Value) -> Body {
    let mut whole = json!({"prompt": "revenue?", "modelId": Uuid::from_u128(1), "user": {"externalId": "ada"}});
    whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    Body::parse(whole.to_string().as_bytes(), Defaults::default()).unwrap()
}

pub(super) fn entry(id: PromptId, conversation: &str, kind: EntryType) -> Entry {
    let conversation = named(conversation);
    let about = About {
        namespace: "test",
        prompt_id: id,
        conversation: &conversation,
        job_id: None,
        conversation_id: None,
        chat_url: None,
        metadata: Some(&Map::new()),
    };
    Entry::new(kind, &about, Timestamp::UNIX_EPOCH, &about.data())
}

pub(super) fn webhook(job_id: Uuid) -> Webhook {
    Webhook {
        event_id: Some(format!("event of {job_id}")),
        job_id,
        state: JobState::Complete,
        reason: None,
        prompt_id: None,
        conversation: None,
        received_at: NOW,
        body: "{}".to_owned(),
    }
}

/// A wait for the budget.
pub(super) const fn until(until: u64) -> Wait<'static> {
    Wait { now: NOW, until, why: Why::Waits(Cause::Budget) }
}

/// The one entry that is there.
pub(super) async fn next(consumer: &mut Consumer) -> Delivery {
    let mut read = consumer.read(1, BLOCK).await.unwrap();
    assert_eq!(read.len(), 1, "nothing to read");
    read.remove(0)
}

/// Takes everything that this consumer's group left pending.
pub(super) async fn claim_one(consumer: &Consumer) -> Delivery {
    let mut claimed = consumer.claim(10, Duration::ZERO).await.unwrap();
    assert_eq!(claimed.len(), 1, "exactly one is pending");
    claimed.remove(0)
}

pub(super) fn prompt_of(delivery: &Delivery) -> PromptId {
    let envelope: Envelope<Submit> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
    envelope.work.prompt_id
}
