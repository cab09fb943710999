//! A walk of random moves, each possible and some repeated: what holds after every step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::dead_letter::{DeadLetter, Reason};
use omni_relay::model::{EntryType, Envelope, Event, Finding, Phase, PromptId, Submit, Verdict, Webhook};
use omni_relay::pipeline::DeadLetters;
use omni_relay::store::accept::Accepted;
use omni_relay::store::delivery::{Delivery, Settled, Stream};
use omni_relay::store::record::Record;
use omni_relay::store::streams::Consumer;
use omni_relay::store::submit::{Job, Send, Sender};
use serde_json::json;
use uuid::Uuid;

use super::backlog::letters;
use super::bed::{BLOCK, Bed, NOW, body, new_id, prompt_of, until, webhook};

const SHORT: Duration = Duration::from_millis(2);

/// Whatever is done, in whatever order, and again: the backlog's counters say what a count of the records says, and no
/// prompt goes a way that the table of phases does not know.
#[tokio::test]
async fn random_moves_leave_the_counters_exact_and_the_phases_in_order() {
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
        tenant: record.tenant(),
        original,
    };
    let verdict = Verdict::Delayed { reason: "retries_exhausted".to_owned() };
    (letter, Finding::new(record.id, record.conversation.clone(), verdict))
}

/// Whether steps of the table, or a person's replay, lead from one phase to the other.
fn leads_to(from: Phase, to: Phase) -> bool {
    let mut reached = vec![from];
    let mut at = 0;
    while let Some(here) = reached.get(at).copied() {
        let step = |next: &Phase| here.may_become(*next) || (here == Phase::Dead && next.may_be_replayed_to());
        let new: Vec<Phase> = Phase::ALL.into_iter().filter(|next| step(next) && !reached.contains(next)).collect();
        reached.extend(new);
        at += 1;
    }
    reached.contains(&to)
}

struct Walk {
    bed: Bed,
    submit: Consumer,
    inbox: Consumer,
    letters: DeadLetters,
    luck: fastrand::Rng,
    prompts: Vec<PromptId>,
    /// Where each prompt was seen last.
    phases: BTreeMap<PromptId, Phase>,
    /// Prompts whose end became known while they were dead: they do not come back into the backlog.
    overtaken: BTreeSet<PromptId>,
}

impl Walk {
    async fn new(seed: u64) -> Self {
        let bed = Bed::with_window(3).await;
        let (submit, inbox) = (bed.consumer(Stream::Prompts, "s").await, bed.consumer(Stream::Inbox, "i").await);
        let (letters, luck) = (letters(&bed), fastrand::Rng::with_seed(seed));
        Self {
            bed,
            submit,
            inbox,
            letters,
            luck,
            prompts: Vec::new(),
            phases: BTreeMap::new(),
            overtaken: BTreeSet::new(),
        }
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
                let finding = Finding::new(id, record.conversation, verdict);
                self.note(id, record.phase);
                let _ = store.refuse(&delivery, finding, NOW).await.unwrap();
                return "refuse";
            }
            2 => {
                let again: Envelope<Submit> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
                let _ =
                    store.defer(&delivery, None, &until(NOW + u64::from(self.luck.u8(..20))), &again).await.unwrap();
                return "defer";
            }
            _ => {}
        }
        let sender = Sender::default();
        if let Send::Go(_) = store.send(&delivery, &record, &sender, ("key", None), NOW, NOW).await.unwrap() {
            match self.luck.u8(..4) {
                0 => {
                    store.unsend(&delivery, id, &sender, NOW).await.unwrap();
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
        let said = Webhook { prompt_id: Some(id), conversation, ..webhook(job_id) };
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
        self.bed.store.finish(None, (id, job_id.as_deref()), NOW, Duration::ZERO, None).await.unwrap();
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
        let finding = Finding::new(id, record.conversation.clone(), Verdict::Expired);
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

    async fn check(&mut self, when: &str) {
        let (mut counted, mut ended) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
        let records = join_all(self.prompts.iter().map(|id| self.fields(*id))).await;
        for (id, fields) in self.prompts.iter().zip(records) {
            let phase: Phase = fields["phase"].parse().unwrap();
            let before = self.phases.insert(*id, phase).unwrap_or(Phase::Waiting);
            assert!(leads_to(before, phase), "{when}: {before} became {phase}");
            if phase.is_terminal() {
                *ended.entry(phase.to_string()).or_default() += 1;
            }
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
        let kept: BTreeMap<String, u64> = self.bed.ask(&["HGETALL", &self.bed.store.keys().ended]).await;
        assert_eq!(kept, ended, "{when}");
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
