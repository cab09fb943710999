//! cancel: at every phase, once.

use omni_relay::model::{EntryType, Envelope, Event, Phase, PromptId, Submit, Verdict};
use omni_relay::store::cancel::Cancelled;
use omni_relay::store::delivery::{Settled, Stream};
use omni_relay::store::streams::Consumer;
use omni_relay::store::submit::{Job, Send, Sender};

use super::bed::{Bed, NOW, next, prompt_of, until};
use super::bury::bury;

const JOB: Job<'_> = Job { job_id: "job-1", conversation_id: "omnis-1", chat_url: None };

async fn cancel(bed: &Bed, id: PromptId) -> Cancelled {
    bed.store.cancel(&bed.record(id).await, "test", NOW, NOW + 75_000).await.unwrap()
}

/// The finding that ends a cancelled prompt.
async fn told(bed: &Bed, inbox: &mut Consumer) -> PromptId {
    let delivery = next(inbox).await;
    let envelope: Envelope<Event> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
    let _ = bed.store.done(&delivery).await.unwrap();
    match envelope.work {
        Event::Finding(finding) if matches!(finding.verdict, Verdict::Cancelled) => finding.prompt_id,
        other => panic!("{other:?}"),
    }
}

async fn audited(bed: &Bed) -> usize {
    bed.ask(&["XLEN", &bed.store.keys().audit]).await
}

#[tokio::test]
async fn who_waits_leaves_the_line_and_the_order() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let ids = [bed.accept("c").await, bed.accept("c").await, bed.accept("c").await];
    assert_eq!(cancel(&bed, ids[1]).await, Cancelled::Ended);
    assert_eq!(bed.phase(ids[1]).await, Phase::Finishing);
    assert_eq!(bed.line("c").await, [ids[2].to_string()]);
    assert_eq!(cancel(&bed, ids[1]).await, Cancelled::TooLate(Phase::Finishing));
    assert_eq!((bed.depth(Stream::Inbox).await, audited(&bed).await), ((1, 0), 1), "a repeat tells it twice");
    assert_eq!(told(&bed, &mut inbox).await, ids[1]);
    bed.end(&mut inbox, ids[1], "c", EntryType::Cancelled).await;
    assert_eq!(bed.slot("c", "active").await, Some(ids[0].to_string()));
    bed.end(&mut inbox, ids[0], "c", EntryType::Answer).await;
    assert_eq!(bed.slot("c", "active").await, Some(ids[2].to_string()));
}

#[tokio::test]
async fn who_is_queued_is_not_sent_and_hands_the_conversation_on() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (id, heir) = (bed.accept("c").await, bed.accept("c").await);
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    assert_eq!(cancel(&bed, id).await, Cancelled::Ended);
    let sent = bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap();
    assert_eq!(sent, Send::Not(Phase::Finishing), "asked although nobody wants it");
    let _ = bed.store.done(&delivery).await.unwrap();
    assert_eq!(bed.slot("c", "active").await, Some(id.to_string()), "freed before its end is out");
    assert_eq!(told(&bed, &mut inbox).await, id);
    bed.end(&mut inbox, id, "c", EntryType::Cancelled).await;
    assert_eq!(prompt_of(&next(&mut submit).await), heir);
}

#[tokio::test]
async fn who_is_being_sent_is_looked_at_as_soon_as_omni_has_the_job() {
    let bed = Bed::new().await;
    bed.consumer(Stream::Inbox, "i").await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW + 5000).await.unwrap();
    assert_eq!(cancel(&bed, id).await, Cancelled::Requested);
    assert_eq!((bed.phase(id).await, bed.record(id).await.cancel_requested), (Phase::Sending, Some(NOW)));
    bed.store.sent(&record, JOB, NOW + 10, NOW + 75_000).await.unwrap();
    assert_eq!(bed.phase(id).await, Phase::Submitted);
    assert_eq!(bed.deadline(id).await, Some(1_900_000_000_133.0), "a job runs on although nobody wants it");
    assert_eq!(bed.depth(Stream::Inbox).await, (0, 0));
}

#[tokio::test]
async fn who_is_being_sent_and_not_taken_is_not_sent_again() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    let sender = Sender::default();
    bed.store.send(&delivery, &record, &sender, ("key", None), NOW, NOW + 5000).await.unwrap();
    assert_eq!(cancel(&bed, id).await, Cancelled::Requested);
    assert!(bed.store.unsend(&delivery, id, &sender, NOW).await.unwrap(), "the sender does not learn of it");
    let again = bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW + 5000).await.unwrap();
    assert_eq!((again, bed.phase(id).await), (Send::Cancelled, Phase::Queued));
}

#[tokio::test]
async fn a_running_job_is_marked_and_looked_at_right_away() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW - 9, NOW + 1).await.unwrap();
    bed.store.sent(&record, JOB, NOW - 9, NOW + 75_000).await.unwrap();
    for _ in 0..3 {
        assert_eq!(cancel(&bed, id).await, Cancelled::Requested);
    }
    assert_eq!((bed.deadline(id).await, audited(&bed).await), (Some(1_900_000_000_123.0), 1));
    // The answer comes first, and wins.
    bed.end(&mut inbox, id, "c", EntryType::Answer).await;
    assert_eq!(cancel(&bed, id).await, Cancelled::TooLate(Phase::Answered));
    assert_eq!((bed.phase(id).await, bed.deadline(id).await), (Phase::Answered, None), "an ended prompt is checked");
}

#[tokio::test]
async fn a_dead_prompt_ends_and_its_letter_goes_with_it() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("acme/c").await;
    assert_eq!(bury(&bed, &next(&mut submit).await, id, NOW).await, Settled::Yes);
    let _ = bed.store.done(&next(&mut inbox).await).await.unwrap();
    assert_eq!(cancel(&bed, id).await, Cancelled::Ended);
    assert!(bed.deadline(id).await.is_some(), "nobody would look at it should its end get lost");
    assert_eq!(told(&bed, &mut inbox).await, id);
    bed.end(&mut inbox, id, "acme/c", EntryType::Cancelled).await;
    let open: usize = bed.ask(&["ZCARD", &bed.store.keys().dead]).await;
    assert_eq!((open, bed.slot("acme/c", "dead").await.as_deref()), (0, Some("0")));
}

#[tokio::test]
async fn who_waits_for_a_turn_or_a_time_leaves_no_entry_behind() {
    let bed = Bed::with_window(0).await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    bed.consumer(Stream::Inbox, "i").await;
    let (deferred, first, second) = (bed.accept("a").await, bed.accept("b").await, bed.accept("c").await);
    assert_eq!(bed.store.take_turns(1, |_| 1).await.unwrap(), 1);
    let delivery = next(&mut submit).await;
    let again: Envelope<Submit> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
    let _ = bed.store.defer(&delivery, None, &until(NOW + 60_000), &again).await.unwrap();

    let keys = bed.store.keys();
    let lengths = async || -> (usize, usize, usize, usize) {
        let (ready, turns) = (bed.ask(&["LLEN", &keys.ready("")]).await, bed.ask(&["ZCARD", &keys.turns]).await);
        (ready, turns, bed.ask(&["ZCARD", &keys.due]).await, bed.ask(&["HLEN", &keys.due_entries]).await)
    };
    assert_eq!(lengths().await, (2, 1, 1, 1));
    for (id, left) in [(first, (1, 1, 1, 1)), (deferred, (1, 1, 0, 0)), (second, (0, 0, 0, 0))] {
        assert_eq!((cancel(&bed, id).await, lengths().await), (Cancelled::Ended, left));
    }
}
