//! What an answered prompt costs Redis: the commands of each move, those in its script and the call itself. They follow from
//! the code alone, so that whoever adds one says so here.

use std::time::Duration;

use omni_relay::model::{EntryType, JobState, Webhook};
use omni_relay::store::budget::{Grant, Quota};
use omni_relay::store::connection::Redis;
use omni_relay::store::delivery::Stream;
use omni_relay::store::inbox::Finish;
use omni_relay::store::settle::Ending;
use omni_relay::store::streams::Consumer;
use omni_relay::store::submit::{Job, Sender};
use omni_relay::store::{Policy, Store};
use serde_json::json;
use uuid::Uuid;

use super::bed::{NOW, accept, body, entry, named, new_id, next, policy, webhook};
use crate::redis::TestRedis;

/// In the order of a prompt's life; reads of the stages' streams, which serve many, are left out.
const COSTS: [(&str, u64); 8] = [
    ("accept", 11),
    ("announce", 7),
    ("send", 6),
    ("sent", 14),
    ("receive", 5),
    ("finish", 10),
    ("publish", 7),
    ("settle", 23),
];

/// Counts the commands of a server that nobody else uses.
struct Meter {
    store: Store,
    costs: Vec<(&'static str, u64)>,
}

impl Meter {
    async fn calls(&self) -> u64 {
        let mut info = redis::cmd("INFO");
        info.arg("commandstats");
        let stats: String = self.store.redis().query(&info).await.unwrap();
        let of_others = stats.lines().filter(|line| !line.starts_with("cmdstat_info:"));
        of_others.filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok()).sum()
    }

    async fn measure<T>(&mut self, name: &'static str, one: impl Future<Output = T>) -> T {
        let before = self.calls().await;
        let done = one.await;
        self.costs.push((name, self.calls().await - before));
        done
    }
}

#[tokio::test]
async fn an_answered_prompt_costs_no_more_commands_than_are_written_down() {
    let server = TestRedis::private().await;
    let store = Store::new(Redis::new(&server.url()).unwrap(), "economy", Policy { window: 1, ..policy() });
    let mut prompts = Consumer::new(store.clone(), Stream::Prompts, "s");
    let mut inbox = Consumer::new(store.clone(), Stream::Inbox, "p");
    prompts.make_group().await.unwrap();
    inbox.make_group().await.unwrap();
    // The first loads the scripts.
    let _ = one(&store, &mut prompts, &mut inbox, "a").await;
    let costs = one(&store, &mut prompts, &mut inbox, "b").await;
    println!("{} commands for an answer: {costs:?}", costs.iter().map(|(_, calls)| calls).sum::<u64>());
    assert_eq!(costs, COSTS);
}

/// What few calls need (connecting, waiting for replicas, asking a Cluster) is boxed: who waits for Redis is copied when its
/// request begins, and kept until its end.
#[tokio::test]
async fn a_call_takes_little_room_while_it_waits() {
    let store = Store::new(Redis::new("redis://127.0.0.1:9").unwrap(), "economy", policy());
    let sizes = [
        ("a read", size_of_val(&store.record(new_id()))),
        ("a move", size_of_val(&store.receive(webhook(Uuid::new_v4())))),
    ];
    println!("bytes of a future: {sizes:?}");
    assert!(sizes.iter().all(|(_, size)| *size <= 2048), "{sizes:?}");
}

/// One prompt, from its acceptance to its end.
async fn one(
    store: &Store,
    prompts: &mut Consumer,
    inbox: &mut Consumer,
    conversation: &str,
) -> Vec<(&'static str, u64)> {
    let mut meter = Meter { store: store.clone(), costs: Vec::new() };
    let (id, job, key) = (new_id(), Uuid::new_v4(), "key");
    let quota = Quota { limit: 1000, window: Duration::from_secs(61), owed: 1 };
    meter.measure("accept", accept(store, id, conversation, &body(&json!({})), None)).await;
    let told = entry(id, conversation, EntryType::Accepted);
    meter.measure("announce", store.publish(id, &told, None)).await.unwrap();
    let delivery = next(prompts).await;
    let record = store.record(id).await.unwrap().unwrap();
    meter.measure("send", store.send(&delivery, &record, &Sender::default(), (key, None), NOW, NOW + 1)).await.unwrap();
    let (job_id, omnis) = (job.to_string(), Uuid::new_v4().to_string());
    let created = Job { job_id: &job_id, conversation_id: &omnis, chat_url: None };
    meter.measure("sent", store.sent(&record, created, NOW, NOW + 2)).await.unwrap();
    let _ = store.done(&delivery).await.unwrap();
    let webhook = Webhook { prompt_id: Some(id), state: JobState::Complete, ..webhook(job) };
    meter.measure("receive", store.receive(webhook)).await.unwrap();
    let delivery = next(inbox).await;
    let finish = store.finish(Some(&delivery), (id, Some(&job_id)), NOW, Duration::ZERO, Some((key, quota)));
    let finish = meter.measure("finish", finish).await.unwrap();
    assert!(matches!(finish, Finish::Go(_, Some(Grant::Go(_)))), "{finish:?}");
    let answer = entry(id, conversation, EntryType::Answer);
    let published = meter.measure("publish", store.publish(id, &answer, None)).await.unwrap();
    let ending = Ending {
        prompt_id: id,
        conversation: named(conversation),
        job_id: Some(job_id),
        conversation_id: Some(omnis),
        phase: published.kind.ends_in().unwrap(),
        published,
        fields: answer.fields(),
    };
    let _ = meter.measure("settle", store.settle(&delivery, &ending, NOW)).await.unwrap();
    meter.costs
}
