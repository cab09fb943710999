//! bury: what cannot be done is kept, and its conversation goes on.

use std::collections::HashMap;
use std::time::Duration;

use omni_relay::model::dead_letter::{DeadLetter, Reason};
use omni_relay::model::{Attempt, EntryType, Envelope, Event, Finding, Phase, PromptId, Verdict};
use omni_relay::store::delivery::{Delivery, Settled, Stream};

use super::bed::{Bed, NOW, named, new_id, next, prompt_of};

pub(super) fn letter(delivery: &Delivery, id: &str, prompt_id: Option<PromptId>, at: u64) -> DeadLetter {
    DeadLetter {
        id: id.to_owned(),
        stage: delivery.stream().stage(),
        reason: Reason::RetriesExhausted,
        error: "timed out after 30 s".to_owned(),
        history: vec![Attempt { at: at - 1, error: "first".to_owned() }, Attempt { at, error: "second".to_owned() }],
        at,
        prompt_id,
        job_id: None,
        conversation: prompt_id.map(|_| named("acme/c")),
        tenant: prompt_id.map(|_| named("acme/c").tenant()).unwrap_or_default(),
        original: delivery.original(),
    }
}

pub(super) fn delayed(id: PromptId) -> Finding {
    let verdict = Verdict::Delayed { reason: "retries_exhausted".to_owned() };
    Finding::new(id, named("acme/c"), verdict)
}

pub(super) async fn bury(bed: &Bed, delivery: &Delivery, id: PromptId, at: u64) -> Settled {
    let letter = letter(delivery, &id.to_string(), Some(id), at);
    bed.store.bury(delivery, &letter, Some(&bed.record(id).await), Some(&delayed(id))).await.unwrap()
}

pub(super) async fn kept(bed: &Bed, id: &str) -> HashMap<String, String> {
    bed.ask(&["HGETALL", &bed.store.keys().letter(id)]).await
}

#[tokio::test]
async fn a_letter_holds_everything_and_the_conversation_goes_on() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (id, heir) = (bed.accept("acme/c").await, bed.accept("acme/c").await);
    let delivery = next(&mut submit).await;
    let original = String::from_utf8(delivery.field("entry").unwrap().to_vec()).unwrap();
    assert_eq!(bury(&bed, &delivery, id, NOW).await, Settled::Yes);

    let key = id.to_string();
    let fingerprint = letter(&delivery, &key, Some(id), NOW).fingerprint();
    let history = format!(r#"[{{"at":{},"error":"first"}},{{"at":{NOW},"error":"second"}}]"#, NOW - 1);
    let now = NOW.to_string();
    let expected: HashMap<String, String> = [
        ("v", "1"),
        ("id", &key),
        ("stage", "submit"),
        ("reason", "retries_exhausted"),
        ("error", "timed out after 30 s"),
        ("attempts", "2"),
        ("fingerprint", &fingerprint),
        ("original", &original),
        ("promptId", &key),
        ("conversation", "acme/c"),
        ("tenant", "acme"),
        ("history", &history),
        ("firstAt", &now),
        ("lastAt", &now),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!(kept(&bed, &key).await, expected);
    let dead: Vec<(String, f64)> = bed.ask(&["ZRANGE", &bed.store.keys().dead, "0", "-1", "WITHSCORES"]).await;
    assert_eq!(dead, [(key.clone(), 1_900_000_000_123.0)]);

    assert_eq!((bed.phase(id).await, bed.deadline(id).await), (Phase::Dead, None));
    assert_eq!(bed.slot("acme/c", "active").await, Some(heir.to_string()), "a dead prompt blocks its conversation");
    assert_eq!(prompt_of(&next(&mut submit).await), heir);
    let told = next(&mut inbox).await;
    let envelope: Envelope<Event> = serde_json::from_slice(told.field("entry").unwrap()).unwrap();
    assert!(matches!(envelope.work, Event::Finding(finding) if finding.prompt_id == id), "its readers are not told");
    assert_eq!(bury(&bed, &delivery, id, NOW + 1).await, Settled::Lost, "a repeat finds it buried");
    assert_eq!(kept(&bed, &key).await, expected);
}

#[tokio::test]
async fn a_dead_prompt_keeps_its_slot_alive_until_an_answer_overtakes_it() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("acme/c").await;
    let slot = bed.store.keys().slot(&named("acme/c"));
    bury(&bed, &next(&mut submit).await, id, NOW).await;
    let _ = bed.store.done(&next(&mut inbox).await).await.unwrap();
    assert_eq!((bed.slot("acme/c", "active").await, bed.life(&slot).await), (None, -1));
    // Others come and go; the user and Omni's conversation are still needed for a replay.
    let other = bed.accept("acme/c").await;
    bed.end(&mut inbox, other, "acme/c", EntryType::Answer).await;
    assert_eq!(bed.life(&slot).await, -1, "the slot of a dead prompt expires");

    bed.end(&mut inbox, id, "acme/c", EntryType::Answer).await;
    assert_eq!(bed.phase(id).await, Phase::Answered);
    assert!(kept(&bed, &id.to_string()).await.is_empty(), "an answered prompt is still in the dead set");
    let dead: usize = bed.ask(&["ZCARD", &bed.store.keys().dead]).await;
    assert_eq!((dead, bed.slot("acme/c", "dead").await.as_deref()), (0, Some("0")));
    assert!(bed.life(&slot).await > 0);
}

#[tokio::test]
async fn a_later_failure_joins_the_history() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("acme/c").await;
    bury(&bed, &next(&mut submit).await, id, NOW).await;
    let _ = bed.store.done(&next(&mut inbox).await).await.unwrap();
    // Its webhook comes, and cannot be processed either.
    let delivery = bed.inbox(&mut inbox).await;
    assert_eq!(bed.deadline(id).await, None);
    bed.store.finish(None, (id, None), NOW + 10, Duration::ZERO, None).await.unwrap();
    assert!(bed.deadline(id).await.is_some(), "who is not finished has a next check");
    assert_eq!(bury(&bed, &delivery, id, NOW + 20).await, Settled::Yes);
    let fields = kept(&bed, &id.to_string()).await;
    assert_eq!((fields["stage"].as_str(), fields["history"].lines().count()), ("process", 2));
    assert_eq!((fields["firstAt"].as_str(), fields["lastAt"].as_str()), ("1900000000123", "1900000000143"));
    assert_eq!(bed.slot("acme/c", "dead").await.as_deref(), Some("1"), "one open letter per prompt");
    assert_eq!(bed.phase(id).await, Phase::Dead);
}

#[tokio::test]
async fn nothing_is_buried_after_its_end() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (id, follower) = (bed.accept("acme/c").await, bed.accept("acme/c").await);
    let delivery = next(&mut submit).await;
    bed.end(&mut inbox, id, "acme/c", EntryType::Answer).await;
    assert_eq!(bury(&bed, &delivery, id, NOW).await, Settled::Yes);
    assert!(kept(&bed, &id.to_string()).await.is_empty());
    assert_eq!((bed.phase(id).await, bed.depth(Stream::Inbox).await), (Phase::Answered, (0, 0)));
    assert_eq!(bed.slot("acme/c", "active").await, Some(follower.to_string()));
    assert_eq!(bed.depth(Stream::Prompts).await, (1, 0), "only the follower is left");
}

#[tokio::test]
async fn who_dies_while_waiting_leaves_the_line() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (first, waiting) = (bed.accept("acme/c").await, bed.accept("acme/c").await);
    let delivery = bed.inbox(&mut inbox).await;
    bury(&bed, &delivery, waiting, NOW).await;
    assert!(bed.line("acme/c").await.is_empty());
    assert_eq!(bed.slot("acme/c", "active").await, Some(first.to_string()));
}

/// What nobody can read is kept byte by byte.
#[tokio::test]
async fn an_entry_without_a_prompt_is_kept_too() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let mut add = redis::cmd("XADD");
    add.arg(&bed.store.keys().inbox).arg("*").arg("entry").arg(b"\xff\x00{");
    bed.store.redis().query::<String>(&add).await.unwrap();
    let delivery = next(&mut inbox).await;
    let id = format!("process-{}", delivery.id());
    let settled = bed.store.bury(&delivery, &letter(&delivery, &id, None, NOW), None, None).await.unwrap();
    assert_eq!(settled, Settled::Yes);
    let mut get = redis::cmd("HGET");
    get.arg(bed.store.keys().letter(&id)).arg("original");
    let original: Vec<u8> = bed.store.redis().query(&get).await.unwrap();
    assert_eq!((original.as_slice(), bed.depth(Stream::Inbox).await), (b"\xff\x00{".as_slice(), (0, 0)));
}

#[tokio::test]
async fn nothing_drops_out_because_there_is_much() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    for n in 0..1_100_u64 {
        bed.ask::<String>(&["XADD", &bed.store.keys().inbox, "*", "entry", "{"]).await;
        let delivery = next(&mut inbox).await;
        let letter = letter(&delivery, &format!("process-{n}"), None, NOW + n);
        assert_eq!(bed.store.bury(&delivery, &letter, None, None).await.unwrap(), Settled::Yes);
    }
    let open: Vec<String> = bed.ask(&["ZRANGE", &bed.store.keys().dead, "0", "-1"]).await;
    assert_eq!(open.len(), 1_100);
    for id in &open {
        let life = bed.life(&bed.store.keys().letter(id)).await;
        assert_eq!(life, -1, "{id} is gone, or will be");
    }
}

/// A pushed prompt that was refused: its readers are told `omni.failed`, a person still finds the letter.
#[tokio::test]
async fn the_letter_of_a_refused_entry_outlives_what_its_readers_are_told() {
    let bed = Bed::new().await;
    let mut intake = bed.consumer(Stream::Intake, "n").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    bed.accept("acme/c").await;
    bed.ask::<String>(&["XADD", &bed.store.keys().intake, "*", "data", "{}"]).await;
    let delivery = next(&mut intake).await;
    let id = new_id();
    let verdict = Verdict::Failed { code: "invalid_prompt".to_owned(), message: "no".to_owned() };
    let finding = Finding::new(id, named("acme/c"), verdict);
    let letter = letter(&delivery, &id.to_string(), None, NOW);
    assert_eq!(bed.store.bury(&delivery, &letter, None, Some(&finding)).await.unwrap(), Settled::Yes);
    assert_eq!(bed.depth(Stream::Intake).await, (0, 0));

    let told = next(&mut inbox).await;
    let ending = bed.ending(id, "acme/c", EntryType::Failed).await;
    assert_eq!(bed.store.settle(&told, &ending, NOW).await.unwrap(), Settled::Yes);
    assert!(!kept(&bed, &id.to_string()).await.is_empty(), "the letter went with the notice");
    assert_eq!(bed.slot("acme/c", "dead").await, None, "a letter that held no slot was counted off it");
}
