//! replay and discard: a person decides about a dead letter, once.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::{Defaults, Edit, EntryType, Envelope, Event, Finding, Phase, PromptId, Verdict};
use omni_relay::pipeline::{DeadLetters, EditError};
use omni_relay::runtime::Clock;
use omni_relay::store::dead::Decided;
use omni_relay::store::delivery::{Delivery, Settled, Stream};
use omni_relay::store::streams::Consumer;
use omni_relay::store::submit::{Job, Send, Sender};
use serde_json::{Value, json};

use super::bed::{Bed, NOW, named, new_id, next, prompt_of, webhook};
use super::bury::{bury, kept, letter};

const JOB: Job<'_> = Job { job_id: "job-1", conversation_id: "omnis-1", chat_url: None };
const CHECK: Duration = Duration::from_secs(75);

struct Dead {
    bed: Bed,
    submit: Consumer,
    inbox: Consumer,
    letters: DeadLetters,
    clock: Clock,
}

impl Dead {
    async fn new() -> Self {
        let bed = Bed::new().await;
        let (submit, inbox) = (bed.consumer(Stream::Prompts, "s").await, bed.consumer(Stream::Inbox, "i").await);
        let clock = Clock::shiftable();
        clock.shift(Duration::from_millis(NOW - clock.now_ms()));
        let letters = DeadLetters::new(bed.store.clone(), clock.clone(), CHECK);
        Self { bed, submit, inbox, letters, clock }
    }

    /// A prompt that died before Omni had it; its readers were told.
    async fn unasked(&mut self) -> PromptId {
        let id = self.bed.accept("acme/c").await;
        let delivery = next(&mut self.submit).await;
        assert_eq!(prompt_of(&delivery), id);
        assert_eq!(bury(&self.bed, &delivery, id, NOW).await, Settled::Yes);
        self.told().await;
        id
    }

    /// A prompt whose webhook could not be processed.
    async fn unprocessed(&mut self) -> (PromptId, Delivery) {
        let id = self.bed.accept("acme/c").await;
        let delivery = next(&mut self.submit).await;
        let record = self.bed.record(id).await;
        self.bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap();
        self.bed.store.sent(&record, JOB, NOW, NOW + 2).await.unwrap();
        let _ = self.bed.store.done(&delivery).await.unwrap();
        let mut envelope = Envelope::new(Event::Webhook(webhook(uuid::Uuid::new_v4())));
        envelope.failed(NOW, "timed out".to_owned());
        let entry = serde_json::to_string(&envelope).unwrap();
        self.bed.ask::<String>(&["XADD", &self.bed.store.keys().inbox, "*", "entry", &entry]).await;
        let delivery = next(&mut self.inbox).await;
        self.bed.store.finish(None, (id, None), NOW, Duration::ZERO, None).await.unwrap();
        assert_eq!(bury(&self.bed, &delivery, id, NOW).await, Settled::Yes);
        self.told().await;
        (id, delivery)
    }

    async fn told(&mut self) -> Event {
        let delivery = next(&mut self.inbox).await;
        let envelope: Envelope<Event> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
        let _ = self.bed.store.done(&delivery).await.unwrap();
        envelope.work
    }

    async fn replay(&self, id: impl ToString) -> Option<Decided> {
        self.letters.replay(&id.to_string(), "test").await.unwrap()
    }

    async fn discard(&self, id: impl ToString) -> Option<Decided> {
        self.letters.discard(&id.to_string(), "test").await.unwrap()
    }

    async fn open(&self) -> Vec<String> {
        self.bed.ask(&["ZRANGE", &self.bed.store.keys().dead, "0", "-1"]).await
    }

    /// When it is looked at next.
    async fn check(&self, id: PromptId) -> Option<u64> {
        self.bed.ask(&["ZSCORE", &self.bed.store.keys().deadlines, &id.to_string()]).await
    }

    async fn audit(&self) -> Vec<String> {
        let entries: Vec<(String, HashMap<String, String>)> =
            self.bed.ask(&["XRANGE", &self.bed.store.keys().audit, "-", "+"]).await;
        entries
            .into_iter()
            .map(|(_, fields)| format!("{} {} {}", fields["who"], fields["what"], fields["id"]))
            .collect()
    }
}

#[tokio::test]
async fn a_replayed_prompt_takes_the_free_slot_and_is_asked_once() {
    let mut dead = Dead::new().await;
    let id = dead.unasked().await;
    let key = dead.bed.store.keys().prompt(&id.to_string());
    dead.bed.ask::<i64>(&["HSET", &key, "expiring", "1", "misses", "2"]).await;
    dead.clock.shift(Duration::from_hours(1));
    let now = dead.clock.now_ms();
    assert_eq!(dead.replay(id).await, Some(Decided::Replayed));
    assert_eq!(dead.replay(id).await, Some(Decided::AlreadyReplayed));

    let record = dead.bed.record(id).await;
    assert_eq!(record.phase, Phase::Queued);
    assert!(record.clock_started_at() >= now, "its clocks go on where they were");
    let old: Vec<Option<String>> = dead.bed.ask(&["HMGET", &key, "expiring", "misses"]).await;
    assert_eq!(old, [None, None], "it would expire at once");
    assert!(record.accepted_at() < record.clock_started_at(), "when it was accepted is forgotten");
    let check = dead.check(id).await.expect("it is looked at again");
    assert!((now + 74_000..=now + 76_000).contains(&check), "{check}");
    assert_eq!(dead.bed.slot("acme/c", "active").await, Some(id.to_string()));
    assert_eq!(dead.bed.slot("acme/c", "dead").await.as_deref(), Some("0"));
    assert!(dead.open().await.is_empty());
    assert!(dead.bed.store.letter(&id.to_string()).await.unwrap().is_none());
    assert_eq!(dead.audit().await, [format!("test replay {id}")]);

    assert_eq!(dead.bed.depth(Stream::Prompts).await, (1, 0), "it is queued once");
    let delivery = next(&mut dead.submit).await;
    let sent = dead.bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap();
    assert_eq!((prompt_of(&delivery), sent), (id, Send::Go(None)));
    dead.bed.end(&mut dead.inbox, id, "acme/c", EntryType::Answer).await;
    assert_eq!(dead.replay(id).await, Some(Decided::AlreadySettled));
    assert!(kept(&dead.bed, &id.to_string()).await.is_empty(), "the letter of an answered prompt is kept");
    assert!(dead.bed.life(&dead.bed.store.keys().slot(&named("acme/c"))).await > 0, "the slot never ends");
}

#[tokio::test]
async fn a_replayed_prompt_queues_behind_whoever_holds_the_conversation() {
    let mut dead = Dead::new().await;
    let id = dead.unasked().await;
    let (active, waiting) = (dead.bed.accept("acme/c").await, dead.bed.accept("acme/c").await);
    assert_eq!(dead.replay(id).await, Some(Decided::Replayed));
    assert_eq!(dead.bed.phase(id).await, Phase::Waiting);
    assert_eq!(dead.bed.slot("acme/c", "active").await, Some(active.to_string()));
    assert_eq!(dead.bed.line("acme/c").await, [waiting.to_string(), id.to_string()]);
    for ended in [active, waiting] {
        dead.bed.end(&mut dead.inbox, ended, "acme/c", EntryType::Answer).await;
    }
    assert_eq!(dead.bed.phase(id).await, Phase::Queued, "its turn never comes");
}

/// The 201 came after the prompt was given up.
#[tokio::test]
async fn a_prompt_that_has_a_job_is_looked_at_and_not_asked_again() {
    let mut dead = Dead::new().await;
    let id = dead.unasked().await;
    dead.bed.store.sent(&dead.bed.record(id).await, JOB, NOW, NOW + 1).await.unwrap();
    assert_eq!(dead.bed.phase(id).await, Phase::Dead, "a late 201 brings a dead prompt back without its letter");
    let now = dead.clock.now_ms();
    assert_eq!(dead.replay(id).await, Some(Decided::Replayed));
    assert_eq!(dead.bed.phase(id).await, Phase::Submitted);
    assert_eq!(dead.bed.depth(Stream::Prompts).await, (0, 0), "asked, and paid, twice");
    let check = dead.check(id).await.unwrap();
    assert!(check < now + 1000, "it is looked at right away: {check}");
}

#[tokio::test]
async fn what_could_not_be_processed_goes_back_to_the_inbox_without_its_attempts() {
    let mut dead = Dead::new().await;
    let (id, delivery) = dead.unprocessed().await;
    assert_eq!(dead.replay(id).await, Some(Decided::Replayed));
    assert_eq!((dead.bed.phase(id).await, dead.bed.depth(Stream::Inbox).await), (Phase::Finishing, (1, 0)));
    assert_eq!(dead.bed.depth(Stream::Prompts).await, (0, 0), "it is asked again");
    let again = next(&mut dead.inbox).await;
    let read = |delivery: &Delivery| -> serde_json::Value {
        serde_json::from_slice(delivery.field("entry").unwrap()).unwrap()
    };
    let mut before = read(&delivery);
    assert_eq!(before["history"].as_array().unwrap().len(), 1);
    before.as_object_mut().unwrap().remove("history");
    assert_eq!(read(&again), before);
    assert_eq!(dead.replay(id).await, Some(Decided::AlreadyReplayed));
    assert_eq!(dead.bed.depth(Stream::Inbox).await, (1, 1));
}

#[tokio::test]
async fn who_dies_again_is_one_letter_with_the_whole_history() {
    let mut dead = Dead::new().await;
    let id = dead.unasked().await;
    for death in 1..4 {
        assert_eq!(dead.replay(id).await, Some(Decided::Replayed));
        let delivery = next(&mut dead.submit).await;
        assert_eq!(bury(&dead.bed, &delivery, id, NOW + death * 10).await, Settled::Yes);
        assert_eq!(dead.bed.depth(Stream::Inbox).await, (0, 0), "its readers are told again");
        let letter = dead.bed.store.letter(&id.to_string()).await.unwrap().expect("an open letter");
        assert_eq!(letter.history.len() as u64, 2 * (death + 1));
        assert!(letter.history.is_sorted_by_key(|attempt| attempt.at));
        assert_eq!(letter.letter.first_at.as_millisecond(), i64::try_from(NOW).unwrap());
        assert_eq!((dead.open().await.len(), dead.bed.slot("acme/c", "dead").await.as_deref()), (1, Some("1")));
        let keys = dead.bed.store.keys();
        assert_eq!(dead.bed.life(&keys.letter(&id.to_string())).await, -1, "an open letter expires");
        assert_eq!(dead.bed.life(&keys.slot(&named("acme/c"))).await, -1, "the slot of a dead prompt expires");
    }
    dead.bed.end(&mut dead.inbox, id, "acme/c", EntryType::Answer).await;
    assert_eq!((dead.open().await.len(), dead.bed.slot("acme/c", "dead").await.as_deref()), (0, Some("0")));
}

#[tokio::test]
async fn of_twenty_who_decide_at_once_one_does() {
    let mut dead = Dead::new().await;
    let id = dead.unasked().await.to_string();
    let operators: Vec<_> = (0..20).map(|_| DeadLetters::new(dead.bed.replica(), dead.clock.clone(), CHECK)).collect();
    let decided = join_all(operators.iter().enumerate().map(|(n, letters)| {
        let id = &id;
        async move {
            let decided = if n % 2 == 0 { letters.replay(id, "test").await } else { letters.discard(id, "test").await };
            decided.unwrap().expect("the letter is known")
        }
    }))
    .await;
    let new: Vec<&Decided> = decided.iter().filter(|decided| decided.is_new()).collect();
    assert_eq!(new.len(), 1, "{decided:?}");
    let in_work = dead.bed.depth(Stream::Prompts).await.0 + dead.bed.depth(Stream::Inbox).await.0;
    assert_eq!((in_work, dead.audit().await.len()), (1, 1));
    assert_eq!(dead.bed.slot("acme/c", "dead").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn an_answer_under_way_overtakes_every_decision() {
    let mut dead = Dead::new().await;
    let id = dead.unasked().await;
    dead.bed.store.finish(None, (id, None), NOW, Duration::ZERO, None).await.unwrap();
    assert_eq!(dead.replay(id).await, Some(Decided::AlreadySettled));
    assert_eq!(dead.discard(id).await, Some(Decided::AlreadySettled));
    assert_eq!((dead.bed.phase(id).await, dead.open().await.len()), (Phase::Finishing, 1));
    assert_eq!((dead.bed.depth(Stream::Prompts).await, dead.bed.depth(Stream::Inbox).await), ((0, 0), (0, 0)));
    assert!(dead.audit().await.is_empty());
}

/// The notice of a death died itself, and its letter is what stands. Replaying the notice would end nothing.
#[tokio::test]
async fn a_letter_that_holds_the_notice_of_a_death_asks_for_the_prompt() {
    let mut dead = Dead::new().await;
    let id = dead.bed.accept("acme/c").await;
    bury(&dead.bed, &next(&mut dead.submit).await, id, NOW).await;
    let notice = next(&mut dead.inbox).await;
    bury(&dead.bed, &notice, id, NOW + 1).await;
    assert_eq!(kept(&dead.bed, &id.to_string()).await["stage"], "process");
    assert!(matches!(dead.told().await, Event::Finding(_)), "its readers are never told");
    assert_eq!(dead.replay(id).await, Some(Decided::Replayed));
    assert_eq!(prompt_of(&next(&mut dead.submit).await), id);
    assert_eq!(dead.bed.phase(id).await, Phase::Queued);
}

#[tokio::test]
async fn a_refused_entry_goes_back_to_the_intake_as_it_was() {
    let dead = Dead::new().await;
    let bed = &dead.bed;
    let mut intake = bed.consumer(Stream::Intake, "n").await;
    let entries: [&[(&str, &[u8])]; 4] = [
        &[("data", b"{\"prompt\":  \"\", \"v\": 1, \"history\": []}")],
        &[("data", b"\xff\x00{")],
        &[("data", b"{}"), ("traceparent", b"00-a\xff")],
        &[("prompt", b"no data field")],
    ];
    for entry in entries {
        let mut add = redis::cmd("XADD");
        add.arg(&bed.store.keys().intake).arg("*").arg(entry);
        bed.store.redis().query::<String>(&add).await.unwrap();
        let delivery = next(&mut intake).await;
        let id = new_id().to_string();
        let letter = letter(&delivery, &id, None, NOW);
        let _ = bed.store.bury(&delivery, &letter, None, None).await.unwrap();
        assert_eq!(dead.replay(&id).await, Some(Decided::Replayed));
        assert_eq!(dead.replay(&id).await, Some(Decided::AlreadyReplayed));
        assert_eq!(dead.discard(&id).await, Some(Decided::AlreadyReplayed));
        let again = next(&mut intake).await;
        for (name, value) in entry {
            assert_eq!(again.field(name), Some(*value), "{name} changed");
        }
        let _ = bed.store.done(&again).await.unwrap();
        assert_eq!(bed.depth(Stream::Intake).await, (0, 0));
        assert!(bed.life(&bed.store.keys().letter(&id)).await > 0, "what is closed is kept for ever");
    }
    assert!(dead.open().await.is_empty());
}

#[tokio::test]
async fn a_discarded_prompt_ends_and_its_readers_are_told_once() {
    let mut dead = Dead::new().await;
    let id = dead.unasked().await;
    let follower = dead.bed.accept("acme/c").await;
    assert_eq!(dead.discard(id).await, Some(Decided::Discarded));
    assert_eq!(dead.discard(id).await, Some(Decided::AlreadyDiscarded));
    assert_eq!(dead.replay(id).await, Some(Decided::AlreadyDiscarded));
    assert_eq!(dead.bed.phase(id).await, Phase::Finishing);
    assert!(dead.bed.deadline(id).await.is_some(), "nobody would look at it should its end get lost");
    assert_eq!((dead.open().await.len(), dead.bed.depth(Stream::Inbox).await), (0, (1, 0)));
    let letter = kept(&dead.bed, &id.to_string()).await;
    assert!(!letter.contains_key("original") && !letter.contains_key("history"), "{letter:?}");
    assert_eq!(dead.audit().await, [format!("test discard {id}")]);
    let Event::Finding(Finding { prompt_id, verdict: Verdict::Failed { code, .. }, .. }) = dead.told().await else {
        panic!("its readers are told something else");
    };
    assert_eq!((prompt_id, code.as_str()), (id, "discarded"));
    dead.bed.end(&mut dead.inbox, id, "acme/c", EntryType::Failed).await;
    assert_eq!(dead.discard(id).await, Some(Decided::AlreadySettled));
    assert_eq!(dead.bed.slot("acme/c", "dead").await.as_deref(), Some("0"));
    assert_eq!(dead.bed.slot("acme/c", "active").await, Some(follower.to_string()));
}

#[tokio::test]
async fn a_discarded_letter_without_a_prompt_just_goes() {
    let mut dead = Dead::new().await;
    let delivery = dead.bed.inbox(&mut dead.inbox).await;
    let id = format!("process-{}", delivery.id());
    let letter = letter(&delivery, &id, None, NOW);
    let _ = dead.bed.store.bury(&delivery, &letter, None, None).await.unwrap();
    assert_eq!(dead.discard(&id).await, Some(Decided::Discarded));
    assert_eq!(dead.discard(&id).await, Some(Decided::AlreadyDiscarded));
    assert_eq!((dead.open().await.len(), dead.bed.depth(Stream::Inbox).await), (0, (0, 0)));
    assert_eq!(dead.discard("process-1-1").await, None);
    assert_eq!(dead.replay(new_id()).await, None);
    let alive = dead.bed.accept("acme/other").await;
    assert_eq!((dead.replay(alive).await, dead.discard(alive).await), (None, None), "it never died");
}

#[tokio::test]
async fn the_audit_forgets_what_is_older_than_ninety_days() {
    let mut dead = Dead::new().await;
    let audit = dead.bed.store.keys().audit.clone();
    let id = dead.unasked().await;
    let now: (u64, u64) = dead.bed.ask(&["TIME"]).await;
    let days_ago = |days: u64| (now.0 - days * 86_400) * 1000;
    for (days, count) in [(91, 500), (89, 10)] {
        for n in 0..count {
            let entry = format!("{}-{n}", days_ago(days));
            dead.bed.ask::<String>(&["XADD", &audit, &entry, "who", "w", "what", "replay", "id", "x"]).await;
        }
    }
    assert_eq!(dead.replay(id).await, Some(Decided::Replayed));
    let left: usize = dead.bed.ask(&["XLEN", &audit]).await;
    // Whole nodes of a hundred entries are dropped.
    assert!((11..=111).contains(&left), "{left} are left");
}

#[tokio::test]
async fn a_prompt_is_asked_as_it_was_changed() {
    let mut dead = Dead::new().await;
    let id = dead.unasked().await;
    let patch = json!({"prompt": "revenue by year?", "metadata": {"n": 1}});
    let edit = Edit::new(patch).unwrap();
    let decided = dead.letters.replay_edited(&id.to_string(), &edit, Defaults::default(), "test").await.unwrap();
    assert_eq!(decided, Some(Decided::Replayed));
    let record = dead.bed.record(id).await;
    let asked = record.request.expect("what to ask");
    assert_eq!((record.phase, asked.prompt.as_str()), (Phase::Queued, "revenue by year?"));
    assert_eq!(asked.user.identity(), bed_user());
    assert_eq!(Value::Object(record.metadata), json!({"n": 1}));
    let counted: usize = dead.bed.ask(&["HGET", &dead.bed.store.keys().backlog, "bytes"]).await;
    let stored: Vec<String> =
        dead.bed.ask(&["HMGET", &dead.bed.store.keys().prompt(&id.to_string()), "request", "metadata"]).await;
    assert_eq!(counted, stored[0].len() + stored[1].len(), "it counts for what it was");
    let audit: Vec<(String, HashMap<String, String>)> =
        dead.bed.ask(&["XRANGE", &dead.bed.store.keys().audit, "-", "+"]).await;
    assert_eq!(audit[0].1["details"], r#"{"fields":["metadata","prompt"]}"#);
    let again = dead.letters.replay_edited(&id.to_string(), &edit, Defaults::default(), "test").await.unwrap();
    assert_eq!(again, Some(Decided::AlreadyReplayed));
}

fn bed_user() -> String {
    super::bed::body(&json!({})).prompt.user.identity()
}

#[tokio::test]
async fn what_omni_has_or_what_ended_is_not_changed() {
    let mut dead = Dead::new().await;
    let edit = Edit::new(json!({"prompt": "else"})).unwrap();
    let try_edit = async |letters: &DeadLetters, id: PromptId| {
        letters.replay_edited(&id.to_string(), &edit, Defaults::default(), "test").await
    };
    let asked = dead.unasked().await;
    dead.bed.store.sent(&dead.bed.record(asked).await, JOB, NOW, NOW + 1).await.unwrap();
    assert!(matches!(try_edit(&dead.letters, asked).await, Err(EditError::NotEditable)));
    let mut dead = Dead::new().await;
    let (answered, _) = dead.unprocessed().await;
    assert!(matches!(try_edit(&dead.letters, answered).await, Err(EditError::NotEditable)));
    assert_eq!((dead.bed.phase(answered).await, dead.open().await.len()), (Phase::Dead, 1));
    assert!(dead.audit().await.is_empty());
}

#[tokio::test]
async fn a_pushed_prompt_goes_back_as_it_was_changed() {
    let dead = Dead::new().await;
    let bed = &dead.bed;
    let mut intake = bed.consumer(Stream::Intake, "n").await;
    let mut add = redis::cmd("XADD");
    add.arg(&bed.store.keys().intake)
        .arg("*")
        .arg(&[("data", &b"{\"tenant\":\"acme\"}"[..]), ("traceparent", b"00-a")]);
    bed.store.redis().query::<String>(&add).await.unwrap();
    let delivery = next(&mut intake).await;
    let id = new_id().to_string();
    let letter = letter(&delivery, &id, None, NOW);
    let _ = bed.store.bury(&delivery, &letter, None, None).await.unwrap();
    let replay = async |patch: Value| {
        dead.letters.replay_edited(&id, &Edit::new(patch).unwrap(), Defaults::default(), "test").await
    };
    assert!(matches!(replay(json!({"prompt": ""})).await, Err(EditError::Invalid(_))));
    assert!(matches!(replay(json!({"prompt": "q", "tenant": "globex"})).await, Err(EditError::Invalid(_))));
    assert_eq!(replay(json!({"prompt": "q"})).await.unwrap(), Some(Decided::Replayed));
    let again = next(&mut intake).await;
    assert_eq!(again.field("data"), Some(&b"{\"prompt\":\"q\",\"tenant\":\"acme\"}"[..]));
    assert_eq!(again.field("traceparent"), Some(&b"00-a"[..]));
}
