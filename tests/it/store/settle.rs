//! settle: a prompt ends once, and its conversation goes on.

use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::{EntryType, Phase};
use omni_relay::store::delivery::{Settled, Stream};
use omni_relay::store::submit::{Job, Sender};

use super::bed::{Bed, DAY, NOW, body, claim_one, entry, named, new_id, next, prompt_of};

#[tokio::test]
async fn a_settled_prompt_is_over_everywhere() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("c").await;
    assert_eq!(bed.end(&mut inbox, id, "c", EntryType::Answer).await, Settled::Yes);

    let keys = bed.store.keys();
    let record = bed.record(id).await;
    assert_eq!((record.phase, record.at[&Phase::Answered]), (Phase::Answered, NOW));
    assert!(record.request.is_none(), "the question is kept longer than it is needed");
    let (_, stands) = bed.store.terminal_entry(&named("c"), id).await.unwrap().unwrap();
    assert_eq!(record.entry, Some(stands));
    assert_eq!((bed.deadline(id).await, bed.slot("c", "active").await), (None, None));
    assert_eq!(bed.depth(Stream::Inbox).await, (0, 0));
    let life = bed.life(&keys.prompt(&id.to_string())).await;
    assert!((1..=i64::try_from(14 * DAY).unwrap()).contains(&life), "the record lives {life} ms");
    let answers: Vec<(String, Vec<String>)> = bed.ask(&["XRANGE", &keys.answers, "-", "+"]).await;
    let fields = entry(id, "c", EntryType::Answer).fields();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].1, fields.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_settled_is_not_settled_again() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (id, follower) = (bed.accept("c").await, bed.accept("c").await);
    bed.end(&mut inbox, id, "c", EntryType::Answer).await;
    // A late failure: the answer stands, the delivery is over, the follower keeps the conversation.
    let late = bed.inbox(&mut inbox).await;
    let ending = bed.ending(id, "c", EntryType::Failed).await;
    assert_eq!(ending.published.kind, EntryType::Answer);
    assert_eq!(bed.store.settle(&late, &ending, NOW).await.unwrap(), Settled::Yes);
    assert_eq!(bed.phase(id).await, Phase::Answered);
    assert_eq!(bed.depth(Stream::Inbox).await, (0, 0));
    assert_eq!(bed.slot("c", "active").await, Some(follower.to_string()));
    let answers: usize = bed.ask(&["XLEN", &bed.store.keys().answers]).await;
    assert_eq!(answers, 1);
}

#[tokio::test]
async fn a_former_owner_settles_nothing() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Inbox, "first").await;
    let second = bed.consumer(Stream::Inbox, "second").await;
    let id = bed.accept("c").await;
    let held = bed.inbox(&mut first).await;
    let claimed = claim_one(&second).await;
    bed.store.finish(None, (id, None), NOW, Duration::ZERO, None).await.unwrap();
    let ending = bed.ending(id, "c", EntryType::Answer).await;
    assert_eq!(bed.store.settle(&held, &ending, NOW).await.unwrap(), Settled::Lost);
    assert_eq!(bed.store.done(&held).await.unwrap(), Settled::Lost);
    assert_eq!(bed.store.renew(&held).await.unwrap(), Settled::Lost);
    let told = entry(id, "c", EntryType::Delayed);
    assert_eq!(bed.store.tell(&held, &told, &ending.published).await.unwrap(), Settled::Lost);
    let answers: usize = bed.ask(&["XLEN", &bed.store.keys().answers]).await;
    assert_eq!((bed.phase(id).await, answers, bed.depth(Stream::Inbox).await), (Phase::Finishing, 0, (1, 1)));
    assert_eq!(bed.store.settle(&claimed, &ending, NOW).await.unwrap(), Settled::Yes);
    assert_eq!(bed.store.settle(&claimed, &ending, NOW).await.unwrap(), Settled::Lost, "a repeat finds it settled");
}

#[tokio::test]
async fn ten_who_settle_at_once_hand_the_conversation_on_once() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (id, heir, last) = (bed.accept("c").await, bed.accept("c").await, bed.accept("c").await);
    bed.store.finish(None, (id, None), NOW, Duration::ZERO, None).await.unwrap();
    let mut deliveries = Vec::new();
    for _ in 0..10 {
        deliveries.push(bed.inbox(&mut inbox).await);
    }
    let ending = bed.ending(id, "c", EntryType::Answer).await;
    let replicas: Vec<_> = (0..10).map(|_| bed.replica()).collect();
    let settled = join_all(deliveries.iter().zip(&replicas).map(|(one, store)| store.settle(one, &ending, NOW))).await;
    assert!(settled.into_iter().all(|outcome| outcome.unwrap() == Settled::Yes));
    assert_eq!(bed.slot("c", "active").await, Some(heir.to_string()));
    assert_eq!(bed.line("c").await, [last.to_string()]);
    assert_eq!((bed.phase(heir).await, bed.phase(last).await), (Phase::Queued, Phase::Waiting));
    let answers: usize = bed.ask(&["XLEN", &bed.store.keys().answers]).await;
    assert_eq!((answers, bed.depth(Stream::Inbox).await), (1, (0, 0)));
}

#[tokio::test]
async fn who_ends_while_waiting_leaves_the_line_and_the_order() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let ids = [bed.accept("c").await, bed.accept("c").await, bed.accept("c").await, bed.accept("c").await];
    bed.end(&mut inbox, ids[2], "c", EntryType::Cancelled).await;
    assert_eq!(bed.phase(ids[2]).await, Phase::Cancelled);
    assert_eq!(bed.slot("c", "active").await, Some(ids[0].to_string()), "another's end freed the conversation");
    assert_eq!(bed.line("c").await, [ids[1].to_string(), ids[3].to_string()]);
}

/// Its end is known and not published yet when its turn comes: it must not be asked any more, and must not be in the way.
#[tokio::test]
async fn an_heir_that_is_ending_is_not_queued() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (first, ending, last) = (bed.accept("c").await, bed.accept("c").await, bed.accept("c").await);
    assert_eq!(prompt_of(&next(&mut submit).await), first);
    bed.store.finish(None, (ending, None), NOW, Duration::ZERO, None).await.unwrap();
    bed.end(&mut inbox, first, "c", EntryType::Answer).await;
    assert_eq!(bed.phase(ending).await, Phase::Finishing, "a final state was overwritten");
    bed.end(&mut inbox, ending, "c", EntryType::Cancelled).await;
    assert_eq!((bed.phase(ending).await, bed.slot("c", "active").await), (Phase::Cancelled, Some(last.to_string())));
    assert_eq!(prompt_of(&next(&mut submit).await), last, "a prompt that had ended was queued");
}

/// Records can be lost (an evicting Redis, a failover); the conversation must not wait for one that is gone.
#[tokio::test]
async fn an_heir_without_a_record_is_passed_over() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (first, ghost, last) = (bed.accept("c").await, bed.accept("c").await, bed.accept("c").await);
    let record = bed.store.keys().prompt(&ghost.to_string());
    bed.ask::<usize>(&["DEL", &record]).await;
    bed.end(&mut inbox, first, "c", EntryType::Answer).await;
    assert_eq!(bed.slot("c", "active").await, Some(last.to_string()));
    assert_eq!(bed.life(&record).await, -2, "a ghost of a record was made");
    assert!(bed.line("c").await.is_empty());
}

#[tokio::test]
async fn a_slot_and_its_alias_live_while_somebody_needs_them() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (slot, alias) = (bed.store.keys().slot(&named("c")), bed.store.keys().alias("omnis-1"));
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW).await.unwrap();
    let job = Job { job_id: "job-1", conversation_id: "omnis-1", chat_url: None };
    bed.store.sent(&record, job, NOW, NOW).await.unwrap();
    assert_eq!((bed.life(&slot).await, bed.life(&alias).await), (-1, -1), "unfinished");

    bed.end(&mut inbox, id, "c", EntryType::Answer).await;
    let whole = i64::try_from(15 * DAY).unwrap();
    let (free, bound) = (bed.life(&slot).await, bed.life(&alias).await);
    assert!((whole - 60_000..=whole).contains(&free), "a free slot lives {free} ms");
    assert!(bound >= free, "the alias goes {} ms before its slot: another could take the conversation", free - bound);
    assert!(bed.life(&bed.store.keys().job("job-1")).await > 0);

    // A follow-up that never reaches Omni prolongs both, though nobody named Omni's conversation.
    bed.ask::<i32>(&["PEXPIRE", &slot, "5000"]).await;
    bed.ask::<i32>(&["PEXPIRE", &alias, "5000"]).await;
    let follow_up = bed.accept("c").await;
    assert_eq!(bed.life(&slot).await, -1);
    bed.end(&mut inbox, follow_up, "c", EntryType::Failed).await;
    let (free, bound) = (bed.life(&slot).await, bed.life(&alias).await);
    assert!(free > 60_000 && bound >= free, "slot {free} ms, alias {bound} ms");
}

#[tokio::test]
async fn an_alias_that_was_asked_for_ends_with_its_slot() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let omnis = uuid::Uuid::from_u128(10);
    let id = new_id();
    bed.try_accept(id, "c", &body(&serde_json::json!({"conversationId": omnis}))).await;
    // Refused before Omni was asked: the record knows no conversation of Omni's, the slot does.
    bed.end(&mut inbox, id, "c", EntryType::Failed).await;
    let (slot, alias) = (
        bed.life(&bed.store.keys().slot(&named("c"))).await,
        bed.life(&bed.store.keys().alias(&omnis.to_string())).await,
    );
    assert!(slot > 0 && alias >= slot, "slot {slot} ms, alias {alias} ms");
}

#[tokio::test]
async fn a_job_of_nobody_is_settled_without_a_record() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = new_id();
    assert_eq!(bed.end(&mut inbox, id, "omnis", EntryType::Answer).await, Settled::Yes);
    let answers: usize = bed.ask(&["XLEN", &bed.store.keys().answers]).await;
    assert_eq!((answers, bed.depth(Stream::Inbox).await), (1, (0, 0)));
    assert!(bed.store.record(id).await.unwrap().is_none());
    assert_eq!(bed.life(&bed.store.keys().slot(&named("omnis"))).await, -2);
}

#[tokio::test]
async fn a_delay_is_told_in_answers_even_after_a_crash_between_the_two() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("c").await;
    let told = entry(id, "c", EntryType::Delayed);
    bed.publish(id, "c", EntryType::Delayed).await;
    // The crash. Whoever takes over publishes again, which does nothing.
    let delivery = bed.inbox(&mut inbox).await;
    let published = bed.publish(id, "c", EntryType::Delayed).await;
    assert!(!published.new);
    assert_eq!(bed.store.tell(&delivery, &told, &published).await.unwrap(), Settled::Yes);
    let answers: usize = bed.ask(&["XLEN", &bed.store.keys().answers]).await;
    assert_eq!((answers, bed.depth(Stream::Inbox).await), (1, (0, 0)));
    // After the answer nobody is told of a delay.
    bed.end(&mut inbox, id, "c", EntryType::Answer).await;
    let delivery = bed.inbox(&mut inbox).await;
    let stands = bed.publish(id, "c", EntryType::Delayed).await;
    let _ = bed.store.tell(&delivery, &told, &stands).await.unwrap();
    let answers: usize = bed.ask(&["XLEN", &bed.store.keys().answers]).await;
    assert_eq!(answers, 2);
}
