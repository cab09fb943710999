//! The table of phases is the guard of every move: each move from each phase, whoever calls it.

use std::time::Duration;

use omni_relay::model::{EntryType, Finding, Phase, PromptId, Verdict};
use omni_relay::pipeline::DeadLetters;
use omni_relay::store::delivery::Stream;
use omni_relay::store::streams::Consumer;
use omni_relay::store::submit::{Job, Sender};

use super::backlog::letters;
use super::bed::{Bed, NOW, next};
use super::bury::letter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Send,
    Unsend,
    Sent,
    Finish,
    Refuse,
    Conclude,
    Cancel,
    Bury,
    BurySeen,
    Settle(EntryType),
    Inherit,
    Replay,
    Discard,
}

const MOVES: [Move; 16] = [
    Move::Send,
    Move::Unsend,
    Move::Sent,
    Move::Finish,
    Move::Refuse,
    Move::Conclude,
    Move::Cancel,
    Move::Bury,
    Move::BurySeen,
    Move::Settle(EntryType::Answer),
    Move::Settle(EntryType::Failed),
    Move::Settle(EntryType::Cancelled),
    Move::Settle(EntryType::Expired),
    Move::Inherit,
    Move::Replay,
    Move::Discard,
];

impl Move {
    /// Where it takes a prompt that is allowed to go there.
    fn expected(self, from: Phase) -> Phase {
        let to = |next: Phase| if from.may_become(next) { next } else { from };
        let only = |here: Phase, next: Phase| if from == here { next } else { from };
        match self {
            Self::Send => to(Phase::Sending),
            Self::Sent => to(Phase::Submitted),
            Self::Finish | Self::Refuse | Self::Conclude => to(Phase::Finishing),
            Self::Bury | Self::BurySeen => to(Phase::Dead),
            Self::Settle(kind) => to(kind.ends_in().unwrap()),
            Self::Unsend => only(Phase::Sending, Phase::Queued),
            Self::Inherit => only(Phase::Waiting, Phase::Queued),
            Self::Replay => only(Phase::Dead, Phase::Queued),
            Self::Discard => only(Phase::Dead, Phase::Finishing),
            Self::Cancel if from.ends_when_cancelled() => Phase::Finishing,
            Self::Cancel => from,
        }
    }
}

struct Table {
    bed: Bed,
    submit: Consumer,
    inbox: Consumer,
    letters: DeadLetters,
}

#[tokio::test]
async fn every_move_from_every_phase_goes_where_the_table_says() {
    let bed = Bed::new().await;
    let (submit, inbox) = (bed.consumer(Stream::Prompts, "s").await, bed.consumer(Stream::Inbox, "i").await);
    let letters = letters(&bed);
    let mut table = Table { bed, submit, inbox, letters };
    let mut wrong = Vec::new();
    for (number, step) in MOVES.into_iter().enumerate() {
        for from in Phase::ALL {
            let conversation = format!("acme/c-{number}-{from}");
            let to = table.try_move(step, from, &conversation).await;
            let replayed = step == Move::Replay && from == Phase::Dead && to.may_be_replayed_to();
            if to != step.expected(from) || !(to == from || from.may_become(to) || replayed) {
                wrong.push(format!("{step:?}: {from} -> {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl Table {
    async fn put(&self, id: PromptId, phase: Phase) {
        let key = self.bed.store.keys().prompt(&id.to_string());
        self.bed.ask::<i64>(&["HSET", &key, "phase", phase.as_str()]).await;
    }

    /// A prompt that stands in this phase, and where it stands after the move.
    async fn try_move(&mut self, step: Move, from: Phase, conversation: &str) -> Phase {
        let id = self.bed.accept(conversation).await;
        let delivery = next(&mut self.submit).await;
        let heir = if step == Move::Inherit { Some(self.bed.accept(conversation).await) } else { None };
        let seen = self.bed.record(id).await;
        let mut kept = letter(&delivery, &id.to_string(), Some(id), NOW);
        kept.conversation = Some(seen.conversation.clone());
        let finding = |verdict| Finding::new(id, seen.conversation.clone(), verdict);
        let delayed = finding(Verdict::Delayed { reason: "retries_exhausted".to_owned() });
        let store = self.bed.store.clone();
        if matches!(step, Move::Replay | Move::Discard) {
            let _ = store.bury(&delivery, &kept, Some(&seen), None).await.unwrap();
        }
        let sender = Sender::default();
        if step == Move::Unsend {
            store.send(&delivery, &seen, &sender, ("key", None), NOW, NOW).await.unwrap();
        }
        self.put(heir.unwrap_or(id), from).await;
        let record = self.bed.record(id).await;
        let job = Job { job_id: &id.to_string(), conversation_id: conversation, chat_url: None };
        match step {
            Move::Send => drop(store.send(&delivery, &record, &sender, ("key", None), NOW, NOW).await.unwrap()),
            Move::Unsend => drop(store.unsend(&delivery, id, &sender, NOW).await.unwrap()),
            Move::Sent => drop(store.sent(&record, job, NOW, NOW).await.unwrap()),
            Move::Finish => drop(store.finish(None, (id, None), NOW, Duration::ZERO, None).await.unwrap()),
            Move::Refuse => drop(store.refuse(&delivery, finding(Verdict::Cancelled), NOW).await.unwrap()),
            Move::Conclude => drop(store.conclude(&record, finding(Verdict::Expired), NOW, NOW).await.unwrap()),
            Move::Cancel => drop(store.cancel(&record, "test", NOW, NOW).await.unwrap()),
            Move::Bury => drop(store.bury(&delivery, &kept, Some(&record), Some(&delayed)).await.unwrap()),
            Move::BurySeen => drop(store.bury_seen(&kept, &record, &delayed).await.unwrap()),
            Move::Settle(kind) => self.settle(id, conversation, kind).await,
            Move::Inherit => {
                store.finish(None, (id, None), NOW, Duration::ZERO, None).await.unwrap();
                self.settle(id, conversation, EntryType::Answer).await;
            }
            Move::Replay => drop(self.letters.replay(&id.to_string(), "test").await.unwrap()),
            Move::Discard => drop(self.letters.discard(&id.to_string(), "test").await.unwrap()),
        }
        self.clear().await;
        self.bed.phase(heir.unwrap_or(id)).await
    }

    async fn settle(&mut self, id: PromptId, conversation: &str, kind: EntryType) {
        let delivery = self.bed.inbox(&mut self.inbox).await;
        let ending = self.bed.ending(id, conversation, kind).await;
        let _ = self.bed.store.settle(&delivery, &ending, NOW).await.unwrap();
    }

    /// Empties the streams for the next move.
    async fn clear(&mut self) {
        for key in [&self.bed.store.keys().prompts, &self.bed.store.keys().inbox] {
            self.bed.ask::<i64>(&["XTRIM", key, "MAXLEN", "0"]).await;
        }
    }
}
