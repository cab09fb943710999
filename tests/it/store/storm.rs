//! Everything at once: replicas that accept, send, answer and take entries from each other, and what must hold afterwards.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::{EntryType, Envelope, Event, PromptId, Webhook};
use omni_relay::store::delivery::{Delivery, Settled, Stream};
use omni_relay::store::streams::Consumer;
use omni_relay::store::submit::{Job, Send, Sender};
use tokio::time::Instant;
use uuid::Uuid;

use super::bed::{Bed, NOW, named, prompt_of, webhook};

const CONVERSATIONS: usize = 6;
const PROMPTS: usize = 15;
const REPLICAS: usize = 4;
const SHORT: Duration = Duration::from_millis(5);

struct Storm {
    bed: Bed,
    /// Which jobs run at Omni, by conversation.
    running: RefCell<HashMap<String, PromptId>>,
    settled: Cell<usize>,
    give_up: Instant,
}

#[tokio::test]
async fn every_prompt_ends_once_and_in_order() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let storm = Storm {
        bed: Bed::with_window(3).await,
        running: RefCell::default(),
        settled: Cell::new(0),
        give_up: Instant::now() + Duration::from_secs(30),
    };
    let bed = &storm.bed;
    for stream in [Stream::Prompts, Stream::Inbox] {
        bed.consumer(stream, "first").await;
    }
    let accepting = join_all((0..CONVERSATIONS).map(|n| async move {
        let mut ids = Vec::new();
        for _ in 0..PROMPTS {
            ids.push(bed.accept(&format!("t{}/c-{n}", n % 3)).await.to_string());
        }
        ids
    }));
    let working = join_all((0..REPLICAS).map(|n| storm.replica(n, fastrand::Rng::with_seed(seed ^ n as u64))));
    let (accepted, _) = tokio::join!(accepting, working);

    for (n, ids) in accepted.iter().enumerate() {
        let conversation = format!("t{}/c-{n}", n % 3);
        let entries = bed.store.entries(&named(&conversation), "0", 1000).await.unwrap();
        let published: Vec<_> = entries.iter().map(|entry| prompt_in(&entry.fields)).collect();
        assert_eq!(&published, ids, "{conversation}: each once, in the order of acceptance");
        assert_eq!((bed.slot(&conversation, "active").await, bed.line(&conversation).await.len()), (None, 0));
    }
    let keys = bed.store.keys();
    let (deadlines, turns): (usize, usize) =
        (bed.ask(&["ZCARD", &keys.deadlines]).await, bed.ask(&["ZCARD", &keys.turns]).await);
    let answers: usize = bed.ask(&["XLEN", &keys.answers]).await;
    assert_eq!((deadlines, turns, answers), (0, 0, CONVERSATIONS * PROMPTS));
}

impl Storm {
    /// Works, and now and then takes whatever another replica holds.
    async fn replica(&self, n: usize, mut luck: fastrand::Rng) {
        let store = self.bed.replica();
        let mut submit = Consumer::new(store.clone(), Stream::Prompts, &format!("r{n}"));
        let mut inbox = Consumer::new(store.clone(), Stream::Inbox, &format!("r{n}"));
        while !self.is_over().await {
            assert!(Instant::now() < self.give_up, "{} prompts were settled", self.settled.get());
            store.take_turns(2, |_| 1).await.unwrap();
            for (consumer, submits) in [(&mut submit, true), (&mut inbox, false)] {
                let steals = luck.u8(..4) == 0;
                let deliveries =
                    if steals { consumer.claim(2, Duration::ZERO).await } else { consumer.read(2, SHORT).await };
                for delivery in deliveries.unwrap() {
                    if submits { self.submit(&delivery).await } else { self.process(&delivery).await }
                }
            }
        }
    }

    async fn submit(&self, delivery: &Delivery) {
        let store = &self.bed.store;
        let id = prompt_of(delivery);
        let record = self.bed.record(id).await;
        if let Send::Go(_) = store.send(delivery, &record, &Sender::default(), ("key", None), NOW, NOW).await.unwrap() {
            let other = self.running.borrow_mut().insert(record.conversation.to_string(), id);
            assert_eq!(other, None, "two jobs of one conversation at Omni");
            let job_id = Uuid::new_v4();
            let job = Job { job_id: &job_id.to_string(), conversation_id: record.conversation.key(), chat_url: None };
            store.sent(&record, job, NOW, NOW).await.unwrap();
            self.running.borrow_mut().remove(record.conversation.as_str());
            let conversation = Some(record.conversation.clone());
            let said = Webhook { prompt_id: Some(id), conversation, ..webhook(job_id) };
            store.receive(said.clone()).await.unwrap();
            store.receive(said).await.unwrap();
        }
        let _ = store.done(delivery).await.unwrap();
    }

    async fn process(&self, delivery: &Delivery) {
        let envelope: Envelope<Event> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
        let Event::Webhook(webhook) = envelope.work else { panic!("nobody left a finding") };
        let (id, conversation) = (webhook.prompt_id.unwrap(), webhook.conversation.unwrap());
        self.bed.store.finish(None, (id, Some(&webhook.job_id.to_string())), NOW, Duration::ZERO, None).await.unwrap();
        let ending = self.bed.ending(id, conversation.as_str(), EntryType::Answer).await;
        if self.bed.store.settle(delivery, &ending, NOW).await.unwrap() == Settled::Yes {
            self.settled.set(self.settled.get() + 1);
        }
    }

    async fn is_over(&self) -> bool {
        self.settled.get() == CONVERSATIONS * PROMPTS
            && (self.bed.depth(Stream::Prompts).await, self.bed.depth(Stream::Inbox).await) == ((0, 0), (0, 0))
    }
}

fn prompt_in(fields: &[(String, String)]) -> String {
    let (_, data) = fields.iter().find(|(name, _)| name == "data").unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    data["promptId"].as_str().unwrap().to_owned()
}
