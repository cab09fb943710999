//! take, recheck, intend, conclude, and the burial of what nobody holds.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::{
    Attempt, DeadLetter, EntryType, Envelope, Event, Finding, Phase, PromptId, Reason, Submit, Verdict,
};
use omni_relay::store::delivery::Stream;
use omni_relay::store::reconcile::{Concluded, Recheck};
use omni_relay::store::record::Record;
use omni_relay::store::submit::{Job, Recorded, Sender};

use super::bed::{Bed, NOW, named, new_id, next, until};

/// The first check of what a bed accepts.
const CHECK: u64 = NOW + 75_000;

fn expired(id: PromptId) -> Finding {
    Finding::new(id, named("c"), Verdict::Expired)
}

async fn again(bed: &Bed, seen: &Record, at: u64) -> bool {
    bed.store.recheck(seen, Recheck { at, misses: 0 }, NOW).await.unwrap()
}

/// A prompt that is being sent.
async fn sending(bed: &Bed, conversation: &str) -> PromptId {
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let id = bed.accept(conversation).await;
    let delivery = next(&mut submit).await;
    bed.store.send(&delivery, &bed.record(id).await, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap();
    let _ = bed.store.done(&delivery).await.unwrap();
    id
}

#[tokio::test]
async fn replicas_share_what_is_due_until_the_lease_ends() {
    let bed = Bed::new().await;
    let mut all = HashSet::new();
    for n in 0..40 {
        all.insert(bed.accept(&format!("c-{n}")).await);
    }
    let early = bed.store.take_checks(CHECK - 1, 10, CHECK + 5).await.unwrap();
    assert_eq!((early.prompts.len(), early.next), (0, Some(CHECK)), "to the millisecond");
    let replicas: Vec<_> = (0..8).map(|_| bed.replica()).collect();
    let taken = join_all(replicas.iter().map(|store| store.take_checks(CHECK, 10, CHECK + 100))).await;
    let taken: Vec<PromptId> = taken.into_iter().flat_map(|taken| taken.unwrap().prompts).collect();
    assert_eq!(taken.len(), 40, "somebody took what another had");
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), all);
    assert_eq!(bed.store.take_checks(CHECK + 99, 100, CHECK + 200).await.unwrap().prompts.len(), 0);
    let left_behind = bed.store.take_checks(CHECK + 100, 100, CHECK + 200).await.unwrap();
    assert_eq!(left_behind.prompts.len(), 40, "whoever took them died");
}

#[tokio::test]
async fn a_look_does_not_undo_what_happened_meanwhile() {
    let bed = Bed::new().await;
    let id = sending(&bed, "c").await;
    let seen = bed.record(id).await;
    assert!(again(&bed, &seen, NOW + 7).await);
    assert_eq!(bed.deadline(id).await, Some(1_900_000_000_130.0));
    let job = Job { job_id: "job-1", conversation_id: "omnis-1", chat_url: None };
    bed.store.sent(&seen, job, NOW, NOW + 2).await.unwrap();
    assert!(!again(&bed, &seen, NOW + 9).await, "it was sent meanwhile");
    assert_eq!(bed.deadline(id).await, Some(1_900_000_000_125.0));

    let seen = bed.record(id).await;
    let record = bed.store.keys().prompt(&id.to_string());
    let _: i64 = bed.ask(&["HSET", &record, "cancelRequested", "1"]).await;
    assert!(again(&bed, &seen, NOW + 9).await);
    assert_eq!(bed.deadline(id).await, Some(1_900_000_000_123.0), "a cancellation that the look did not see waits");
    let seen = bed.record(id).await;
    assert!(bed.store.recheck(&seen, Recheck { at: NOW + 9, misses: 2 }, NOW).await.unwrap());
    assert_eq!((bed.deadline(id).await, bed.record(id).await.misses), (Some(1_900_000_000_132.0), 2));
    assert!(again(&bed, &seen, NOW + 9).await);
    assert_eq!(bed.record(id).await.misses, 0);
}

#[tokio::test]
async fn what_ended_died_or_was_lost_needs_no_look() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (ended, lost) = (bed.accept("c").await, bed.accept("d").await);
    let seen = bed.record(ended).await;
    bed.end(&mut inbox, ended, "c", EntryType::Answer).await;
    assert!(!again(&bed, &seen, NOW + 9).await);
    assert_eq!(bed.deadline(ended).await, None, "a look brings an answered prompt back");
    let _: i64 = bed.ask(&["DEL", &bed.store.keys().prompt(&lost.to_string())]).await;
    bed.store.uncheck(lost).await.unwrap();
    assert_eq!(bed.deadline(lost).await, None);
    let kept = bed.accept("e").await;
    bed.store.uncheck(kept).await.unwrap();
    assert!(bed.deadline(kept).await.is_some(), "a prompt that goes on is forgotten");
}

#[tokio::test]
async fn a_finding_takes_the_prompt_out_of_its_line_once() {
    let bed = Bed::with_window(0).await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (first, second) = (bed.accept("c").await, bed.accept("c").await);
    let (one, two) = (bed.record(first).await, bed.record(second).await);
    assert_eq!((one.phase, two.phase), (Phase::Queued, Phase::Waiting));
    for (record, id) in [(&one, first), (&two, second)] {
        let conclude = || bed.store.conclude(record, expired(id), NOW + 5, NOW + 100);
        assert_eq!(conclude().await.unwrap(), Concluded::Yes);
        assert_eq!(conclude().await.unwrap(), Concluded::Not(Some(Phase::Finishing)), "it was told twice");
        let told = next(&mut inbox).await;
        let envelope: Envelope<Event> = serde_json::from_slice(told.field("entry").unwrap()).unwrap();
        assert!(matches!(envelope.work, Event::Finding(finding) if finding.prompt_id == id));
        assert_eq!(bed.deadline(id).await, Some(1_900_000_000_223.0));
    }
    assert_eq!(bed.line("c").await, [] as [String; 0]);
    let keys = bed.store.keys();
    let left: usize = bed.ask(&["EXISTS", &keys.ready(""), &keys.turns]).await;
    assert_eq!(left, 0, "its tenant still has a turn");
    assert_eq!(bed.slot("c", "active").await, Some(first.to_string()), "freed before its end is out");
}

#[tokio::test]
async fn a_finding_takes_the_prompt_out_of_due() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let (id, other) = (bed.accept("c").await, bed.accept("d").await);
    for _ in 0..2 {
        let delivery = next(&mut submit).await;
        let envelope: Envelope<Submit> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
        let _ = bed.store.defer(&delivery, None, &until(NOW + 1), &envelope).await.unwrap();
    }
    bed.store.conclude(&bed.record(id).await, expired(id), NOW, NOW + 1).await.unwrap();
    assert_eq!(bed.store.promote(NOW + 1, 10).await.unwrap().count, 1);
    assert_eq!(super::bed::prompt_of(&next(&mut submit).await), other);
    let left: usize = bed.ask(&["EXISTS", &bed.store.keys().due_entries]).await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn an_expiry_is_intended_only_while_omni_works() {
    let bed = Bed::new().await;
    let id = sending(&bed, "c").await;
    assert!(!bed.store.intend_expiry(id, NOW).await.unwrap());
    let job = Job { job_id: "job-1", conversation_id: "omnis-1", chat_url: None };
    bed.store.sent(&bed.record(id).await, job, NOW, NOW + 2).await.unwrap();
    assert!(bed.store.intend_expiry(id, NOW + 1).await.unwrap());
    assert!(bed.store.intend_expiry(id, NOW + 2).await.unwrap(), "a repeat");
    assert_eq!(bed.record(id).await.expiring, Some(NOW + 1));
    bed.store.finish(None, (id, Some("job-1")), NOW, Duration::ZERO, None).await.unwrap();
    assert!(!bed.store.intend_expiry(id, NOW).await.unwrap());
    assert!(!bed.store.intend_expiry(new_id(), NOW).await.unwrap());
}

#[tokio::test]
async fn a_job_is_adopted_by_one_prompt() {
    let bed = Bed::new().await;
    let (one, two) = (sending(&bed, "c").await, sending(&bed, "d").await);
    let job = Job { job_id: "job-1", conversation_id: "omnis-1", chat_url: None };
    assert_eq!(bed.store.sent(&bed.record(one).await, job, NOW, NOW).await.unwrap(), Recorded::In(Phase::Submitted));
    assert_eq!(bed.store.sent(&bed.record(two).await, job, NOW, NOW).await.unwrap(), Recorded::Taken(one.to_string()));
    let loser = bed.record(two).await;
    assert_eq!((loser.phase, loser.job_id), (Phase::Sending, None));
    assert_eq!(bed.store.prompt_of_job("job-1").await.unwrap(), Some(one));
}

#[tokio::test]
async fn a_prompt_that_nobody_holds_is_buried_once_and_only_as_it_was_seen() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = sending(&bed, "c").await;
    let heir = bed.accept("c").await;
    let seen = bed.record(id).await;
    let letter = DeadLetter {
        id: id.to_string(),
        stage: "submit",
        reason: Reason::SubmitOutcomeUnknown,
        error: "nobody knows".to_owned(),
        history: vec![Attempt { at: NOW, error: "nobody knows".to_owned() }],
        at: NOW,
        prompt_id: Some(id),
        job_id: None,
        conversation: Some(named("c")),
        tenant: named("c").tenant(),
        original: b"{}".to_vec(),
    };
    let verdict = Verdict::Delayed { reason: "submit_outcome_unknown".to_owned() };
    let finding = Finding::new(id, named("c"), verdict);
    let bury = || bed.store.bury_seen(&letter, &seen, &finding);
    assert!(bury().await.unwrap());
    assert!(!bury().await.unwrap(), "a repeat");
    assert_eq!((bed.phase(id).await, bed.deadline(id).await), (Phase::Dead, None));
    assert_eq!(bed.slot("c", "active").await, Some(heir.to_string()));
    assert_eq!(bed.slot("c", "dead").await.as_deref(), Some("1"));
    let kept: HashMap<String, String> = bed.ask(&["HGETALL", &bed.store.keys().letter(&id.to_string())]).await;
    assert_eq!((kept["reason"].as_str(), kept["attempts"].as_str()), ("submit_outcome_unknown", "1"));
    assert_eq!(kept["history"].lines().count(), 1);
    next(&mut inbox).await.id();
    assert_eq!(bed.depth(Stream::Inbox).await, (1, 1), "its readers are told twice");

    let adopted = sending(&bed, "d").await;
    let seen = bed.record(adopted).await;
    let job = Job { job_id: "job-1", conversation_id: "omnis-1", chat_url: None };
    bed.store.sent(&seen, job, NOW, NOW).await.unwrap();
    assert!(!bed.store.bury_seen(&letter, &seen, &finding).await.unwrap(), "its job was found meanwhile");
    assert_eq!(bed.phase(adopted).await, Phase::Submitted);
}
