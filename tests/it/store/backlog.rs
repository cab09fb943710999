//! backlog: what is unfinished is counted, and past the limit nothing new comes in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::dead_letter::{DeadLetter, Reason};
use omni_relay::model::{EntryType, Envelope, Event, Finding, Phase, PromptId, Verdict};
use omni_relay::pipeline::DeadLetters;
use omni_relay::runtime::Clock;
use omni_relay::store::Policy;
use omni_relay::store::accept::Accepted;
use omni_relay::store::backlog::{Backlog, Limit, Share};
use omni_relay::store::dead::Decided;
use omni_relay::store::delivery::{Delivery, Settled, Stream};
use omni_relay::store::record::Record;
use omni_relay::store::streams::Consumer;
use omni_relay::store::submit::{Job, Send};
use serde_json::json;
use uuid::Uuid;

use super::bed::{BLOCK, Bed, NOW, accept, body, new_id, next, policy, prompt_of, webhook};
use super::bury::bury;

const SHORT: Duration = Duration::from_millis(2);

async fn limited(prompts: u64, bytes: u64, tenant_share: u32) -> Bed {
    Bed::with(Policy { backlog: Limit { prompts, bytes, tenant_share }, ..policy() }).await
}

async fn try_one(bed: &Bed, conversation: &str) -> Accepted {
    bed.try_accept(new_id(), conversation, &body(&json!({}))).await
}

#[tokio::test]
async fn at_its_limit_the_backlog_takes_nothing_new_and_keeps_nothing_of_it() {
    let bed = limited(2, 1 << 20, 100).await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (first, second) = (bed.accept("a").await, bed.accept("a").await);
    let shed = new_id();
    let with_key = body(&json!({"idempotencyKey": "k"}));
    assert_eq!(bed.try_accept(shed, "b", &with_key).await, Accepted::Full(Share::All));
    assert!(bed.store.record(shed).await.unwrap().is_none());
    assert_eq!((bed.slot("b", "user").await, bed.line("b").await.len(), bed.deadline(shed).await), (None, 0, None));

    bed.end(&mut inbox, first, "a", EntryType::Answer).await;
    assert_eq!(bed.try_accept(shed, "b", &with_key).await, Accepted::New(Phase::Queued), "the key was not used up");
    assert_eq!(try_one(&bed, "b").await, Accepted::Full(Share::All));
    assert_eq!(
        bed.try_accept(new_id(), "b", &with_key).await,
        Accepted::Same(shed),
        "what is ours already is not shed"
    );
    bed.end(&mut inbox, second, "a", EntryType::Answer).await;
    bed.end(&mut inbox, shed, "b", EntryType::Answer).await;
    assert_eq!(bed.store.backlog().await.unwrap(), Backlog::default());
    assert_eq!(bed.ask::<u8>(&["EXISTS", &bed.store.keys().backlog]).await, 0, "an empty backlog leaves no key");
}

#[tokio::test]
async fn a_tenant_has_its_share_and_others_have_theirs() {
    let bed = limited(10, 1 << 20, 30).await;
    for n in 0..3 {
        assert_eq!(try_one(&bed, &format!("a/{n}")).await, Accepted::New(Phase::Queued));
    }
    assert_eq!(try_one(&bed, "a/3").await, Accepted::Full(Share::Tenant));
    assert_eq!(try_one(&bed, "b/0").await, Accepted::New(Phase::Queued));
    // Without a tenant there is no share, only the whole.
    for n in 0..6 {
        assert_eq!(try_one(&bed, &format!("c-{n}")).await, Accepted::New(Phase::Queued), "{n}");
    }
    assert_eq!(try_one(&bed, "c-6").await, Accepted::Full(Share::All));
    assert_eq!(try_one(&bed, "b/1").await, Accepted::Full(Share::All));
    assert_eq!(try_one(&bed, "a/3").await, Accepted::Full(Share::Tenant));
}

#[tokio::test]
async fn the_prompt_that_reaches_the_limit_in_bytes_is_taken() {
    let bed = limited(1000, 4000, 50).await;
    let large = body(&json!({"prompt": "x".repeat(5000)}));
    assert_eq!(bed.try_accept(new_id(), "a/1", &large).await, Accepted::New(Phase::Queued));
    assert_eq!(try_one(&bed, "a/2").await, Accepted::Full(Share::Tenant));
    assert_eq!(try_one(&bed, "b/1").await, Accepted::Full(Share::All));
}

#[tokio::test]
async fn what_is_wrong_for_good_is_told_before_what_passes() {
    let bed = limited(1, 1 << 20, 100).await;
    bed.accept("c").await;
    let stranger = body(&json!({"user": {"externalId": "eve"}}));
    assert_eq!(bed.try_accept(new_id(), "c", &stranger).await, Accepted::UserMismatch);
}

#[tokio::test]
async fn a_dead_prompt_makes_room_and_comes_back_however_full_it_is() {
    let bed = limited(1, 1 << 20, 100).await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("acme/c").await;
    let before = bed.store.backlog().await.unwrap();
    assert_eq!(bury(&bed, &next(&mut submit).await, id, NOW).await, Settled::Yes);
    assert_eq!(bed.store.backlog().await.unwrap(), Backlog::default());
    bed.accept("b").await;
    let between = bed.store.backlog().await.unwrap();
    assert_eq!(letters(&bed).replay(&id.to_string(), "test").await.unwrap(), Some(Decided::Replayed));
    let after = bed.store.backlog().await.unwrap();
    assert_eq!((after.prompts, after.bytes), (2, between.bytes + before.bytes));
    assert_eq!(try_one(&bed, "b").await, Accepted::Full(Share::All));
}

#[tokio::test]
async fn a_hundred_at_once_do_not_pass_the_limit() {
    let bed = limited(7, 1 << 20, 100).await;
    let asked = body(&json!({}));
    let attempts = (0..100).map(|n| {
        let (store, asked) = (&bed.store, &asked);
        async move { accept(store, new_id(), &format!("c-{n}"), asked, None).await }
    });
    let outcomes = join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Accepted::New(_))).count(), 7);
}

fn letters(bed: &Bed) -> DeadLetters {
    DeadLetters::new(bed.store.clone(), Clock::shiftable(), Duration::from_secs(75))
}

/// Whatever is done, in whatever order, and again: the counters say what a count of the records says.
#[tokio::test]
async fn random_moves_leave_the_counters_exact() {
    for _ in 0..3 {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut walk = Walk::new(seed).await;
        for step in 0..200 {
            let what = walk.step().await;
            walk.check(&format!("seed {seed}, step {step}: {what}")).await;
        }
        walk.end_everything().await;
        assert_eq!(walk.bed.ask::<u8>(&["EXISTS", &walk.bed.store.keys().backlog]).await, 0, "seed {seed}");
    }
}

/// What a prompt's death leaves behind.
fn kept(record: &Record, stream: Stream, original: Vec<u8>) -> (DeadLetter, Finding) {
    let letter = DeadLetter {
        id: record.id.to_string(),
        stage: stream.stage(),
        reason: Reason::RetriesExhausted,
        error: "timed out".to_owned(),
        history: Vec::new(),
        at: NOW,
        prompt_id: Some(record.id),
        job_id: record.job_id.clone(),
        conversation: Some(record.conversation.clone()),
        original,
    };
    let verdict = Verdict::Delayed { reason: "retries_exhausted".to_owned() };
    (letter, Finding { prompt_id: record.id, conversation: record.conversation.clone(), verdict })
}

struct Walk {
    bed: Bed,
    submit: Consumer,
    inbox: Consumer,
    letters: DeadLetters,
    luck: fastrand::Rng,
    prompts: Vec<PromptId>,
    /// Prompts whose end became known while they were dead: they do not come back into the backlog.
    overtaken: BTreeSet<PromptId>,
}

impl Walk {
    async fn new(seed: u64) -> Self {
        let bed = Bed::with_window(3).await;
        let (submit, inbox) = (bed.consumer(Stream::Prompts, "s").await, bed.consumer(Stream::Inbox, "i").await);
        let (letters, luck) = (letters(&bed), fastrand::Rng::with_seed(seed));
        Self { bed, submit, inbox, letters, luck, prompts: Vec::new(), overtaken: BTreeSet::new() }
    }

    async fn step(&mut self) -> &'static str {
        let any = self.luck.choice(&self.prompts).copied();
        let phase = match any {
            Some(id) => Some((id, self.bed.phase(id).await)),
            None => None,
        };
        match (self.luck.u8(..20), phase) {
            (0..4, _) | (_, None) => self.ask().await,
            (4..9, _) => self.work_at_submit().await,
            (9..13, _) => self.work_at_process().await,
            (13..15, Some((id, Phase::Submitted | Phase::Sending))) => self.hear(id).await,
            (13..17, Some((id, Phase::Dead))) => self.decide(id).await,
            (15, Some((id, phase))) => self.cancel(id, phase).await,
            (16, Some((id, Phase::Waiting | Phase::Queued | Phase::Submitted))) => self.expire(id).await,
            (16, Some((id, Phase::Sending))) => self.give_up(id).await,
            _ => {
                self.bed.store.take_turns(3, |_| 1).await.unwrap();
                self.bed.store.promote(NOW + 10, 10).await.unwrap();
                "turns"
            }
        }
    }

    async fn ask(&mut self) -> &'static str {
        let conversation = ["a", "b", "acme/a", "acme/b", "globex/a"][self.luck.usize(..5)];
        let mut members = json!({"metadata": {"note": "n".repeat(self.luck.usize(..200))}});
        if self.luck.bool() {
            members = json!({"idempotencyKey": format!("k-{}", self.luck.u8(..5))});
        }
        let id = new_id();
        if let Accepted::New(_) = self.bed.try_accept(id, conversation, &body(&members)).await {
            self.prompts.push(id);
        }
        "ask"
    }

    /// Takes a new entry, or one from itself as another consumer would.
    async fn take(consumer: &mut Consumer, luck: &mut fastrand::Rng) -> Option<Delivery> {
        let read = if luck.bool() { consumer.claim(1, Duration::ZERO).await } else { consumer.read(1, SHORT).await };
        read.unwrap().pop()
    }

    async fn work_at_submit(&mut self) -> &'static str {
        let Some(delivery) = Self::take(&mut self.submit, &mut self.luck).await else { return "nothing to submit" };
        let (store, id) = (self.bed.store.clone(), prompt_of(&delivery));
        let record = self.bed.record(id).await;
        match self.luck.u8(..8) {
            0 => return self.bury(&delivery, id).await,
            1 => {
                let verdict = Verdict::Failed { code: "refused".to_owned(), message: String::new() };
                let finding = Finding { prompt_id: id, conversation: record.conversation, verdict };
                self.note(id, record.phase);
                let _ = store.refuse(&delivery, finding, NOW).await.unwrap();
                return "refuse";
            }
            2 => {
                let again: Envelope<omni_relay::model::Submit> =
                    serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
                let _ = store.defer(&delivery, NOW + u64::from(self.luck.u8(..20)), &again).await.unwrap();
                return "defer";
            }
            _ => {}
        }
        if let Send::Go(_) = store.send(&delivery, &record, "key", NOW, NOW).await.unwrap() {
            match self.luck.u8(..4) {
                0 => {
                    store.unsend(&delivery, id, NOW).await.unwrap();
                    return "unsend";
                }
                1 => {}
                _ => {
                    let job_id = Uuid::new_v4().to_string();
                    let job = Job { job_id: &job_id, conversation_id: record.conversation.key(), chat_url: None };
                    store.sent(&record, job, NOW, NOW).await.unwrap();
                }
            }
        }
        let _ = store.done(&delivery).await.unwrap();
        "submit"
    }

    async fn hear(&mut self, id: PromptId) -> &'static str {
        let record = self.bed.record(id).await;
        let job_id = record.job_id.and_then(|id| id.parse().ok()).unwrap_or_else(Uuid::new_v4);
        let conversation = Some(record.conversation);
        let said = omni_relay::model::Webhook { prompt_id: Some(id), conversation, ..webhook(job_id) };
        self.bed.store.receive(said).await.unwrap();
        "webhook"
    }

    async fn work_at_process(&mut self) -> &'static str {
        let Some(delivery) = Self::take(&mut self.inbox, &mut self.luck).await else { return "nothing to process" };
        let envelope: Envelope<Event> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
        let (id, job_id) = match envelope.work {
            Event::Finding(Finding { verdict: Verdict::Delayed { .. }, .. }) => {
                let _ = self.bed.store.done(&delivery).await.unwrap();
                return "delayed";
            }
            Event::Finding(finding) => (finding.prompt_id, None),
            Event::Webhook(webhook) => (webhook.prompt_id.unwrap(), Some(webhook.job_id.to_string())),
        };
        let record = self.bed.record(id).await;
        self.note(id, record.phase);
        self.bed.store.finish(id, job_id.as_deref(), NOW).await.unwrap();
        match self.luck.u8(..5) {
            0 => self.bury(&delivery, id).await,
            // A crash before settling: claimed later.
            1 => "crash",
            _ => {
                let ending = self.bed.ending(id, record.conversation.as_str(), EntryType::Answer).await;
                let _ = self.bed.store.settle(&delivery, &ending, NOW).await.unwrap();
                let again = self.bed.store.settle(&delivery, &ending, NOW).await.unwrap();
                assert_eq!(again, Settled::Lost);
                "settle"
            }
        }
    }

    async fn bury(&mut self, delivery: &Delivery, id: PromptId) -> &'static str {
        let record = self.bed.record(id).await;
        let (letter, finding) = kept(&record, delivery.stream(), delivery.original());
        if self.bed.store.bury(delivery, &letter, Some(&record), Some(&finding)).await.unwrap() == Settled::Yes {
            self.overtaken.remove(&id);
        }
        "bury"
    }

    async fn give_up(&mut self, id: PromptId) -> &'static str {
        let record = self.bed.record(id).await;
        let (letter, finding) = kept(&record, Stream::Prompts, b"{}".to_vec());
        assert!(self.bed.store.bury_seen(&letter, &record, &finding).await.unwrap());
        assert!(!self.bed.store.bury_seen(&letter, &record, &finding).await.unwrap());
        "give up"
    }

    async fn cancel(&mut self, id: PromptId, phase: Phase) -> &'static str {
        self.note(id, phase);
        let record = self.bed.record(id).await;
        for _ in 0..2 {
            self.bed.store.cancel(&record, "test", NOW, NOW + 75_000).await.unwrap();
        }
        "cancel"
    }

    async fn expire(&mut self, id: PromptId) -> &'static str {
        let record = self.bed.record(id).await;
        let finding = Finding { prompt_id: id, conversation: record.conversation.clone(), verdict: Verdict::Expired };
        self.bed.store.conclude(&record, finding, NOW, NOW + 75_000).await.unwrap();
        "expire"
    }

    async fn decide(&mut self, id: PromptId) -> &'static str {
        let name = id.to_string();
        match self.luck.u8(..4) {
            3 => self.hear(id).await,
            0 => {
                self.note(id, Phase::Dead);
                self.letters.discard(&name, "test").await.unwrap();
                self.letters.discard(&name, "test").await.unwrap();
                "discard"
            }
            1 => {
                self.cancel(id, Phase::Dead).await;
                "cancel a dead one"
            }
            _ => {
                self.letters.replay(&name, "test").await.unwrap();
                self.letters.replay(&name, "test").await.unwrap();
                "replay"
            }
        }
    }

    fn note(&mut self, id: PromptId, phase: Phase) {
        if phase == Phase::Dead {
            self.overtaken.insert(id);
        }
    }

    async fn check(&self, when: &str) {
        let mut counted = BTreeMap::<String, u64>::new();
        let records = join_all(self.prompts.iter().map(|id| self.fields(*id))).await;
        for (id, fields) in self.prompts.iter().zip(records) {
            let phase: Phase = fields["phase"].parse().unwrap();
            let ends = phase == Phase::Finishing && self.overtaken.contains(id);
            if phase.is_terminal() || phase == Phase::Dead || ends {
                continue;
            }
            let bytes = u64::try_from(fields["request"].len() + fields["metadata"].len()).unwrap();
            let tenant = fields["conversation"].split_once('/').map(|(tenant, _)| format!(":{tenant}"));
            for whose in [Some(String::new()), tenant].into_iter().flatten() {
                *counted.entry(format!("prompts{whose}")).or_default() += 1;
                *counted.entry(format!("bytes{whose}")).or_default() += bytes;
            }
        }
        let kept: BTreeMap<String, u64> = self.bed.ask(&["HGETALL", &self.bed.store.keys().backlog]).await;
        assert_eq!(kept, counted, "{when}");
    }

    async fn fields(&self, id: PromptId) -> HashMap<String, String> {
        self.bed.ask(&["HGETALL", &self.bed.store.keys().prompt(&id.to_string())]).await
    }

    async fn end_everything(&mut self) {
        while let Some(left) = self.inbox.claim(1, Duration::ZERO).await.unwrap().pop() {
            let _ = self.bed.store.done(&left).await.unwrap();
        }
        while let Some(left) = self.inbox.read(1, BLOCK / 10).await.unwrap().pop() {
            let _ = self.bed.store.done(&left).await.unwrap();
        }
        for id in self.prompts.clone() {
            let record = self.bed.record(id).await;
            if !record.phase.is_terminal() {
                self.bed.end(&mut self.inbox, id, record.conversation.as_str(), EntryType::Answer).await;
            }
        }
    }
}
