//! send, unsend, sent, refuse: one create per prompt.

use std::time::Duration;

use omni_relay::model::{EntryType, Envelope, Event, Finding, Phase, Verdict};
use omni_relay::store::delivery::{Settled, Stream};
use omni_relay::store::inbox::Finish;
use omni_relay::store::submit::{Job, Recorded, Send, Sender};

use super::bed::{Bed, NOW, claim_one, named, new_id, next, prompt_of};

const JOB: Job<'_> = Job { job_id: "job-1", conversation_id: "omnis-1", chat_url: Some("https://omni.test/chat/1") };

#[tokio::test]
async fn two_consumers_send_one_create() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Prompts, "first").await;
    let second = bed.consumer(Stream::Prompts, "second").await;
    let id = bed.accept("c").await;
    let held = next(&mut first).await;
    let claimed = claim_one(&second).await;
    let record = bed.record(id).await;
    assert_eq!(
        bed.store.send(&held, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap(),
        Send::Lost
    );
    assert_eq!(bed.phase(id).await, Phase::Queued, "its former owner changed something");
    assert_eq!(
        bed.store.send(&claimed, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap(),
        Send::Go(None)
    );
    assert_eq!(
        bed.store.send(&claimed, &record, &Sender::default(), ("key", None), NOW, NOW + 9).await.unwrap(),
        Send::Not(Phase::Sending)
    );
    assert_eq!(bed.record(id).await.key_id.as_deref(), Some("key"));
    assert_eq!(bed.deadline(id).await, Some(1_900_000_000_124.0));
}

#[tokio::test]
async fn what_omni_did_not_take_may_be_sent_again() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    let sender = Sender::default();
    bed.store.send(&delivery, &record, &sender, ("key", None), NOW, NOW + 1).await.unwrap();
    bed.store.unsend(&delivery, id, &sender, NOW).await.unwrap();
    assert_eq!(bed.phase(id).await, Phase::Queued);
    assert_eq!(bed.depth(Stream::Prompts).await, (1, 1), "its delivery is still held: nothing else is queued");
    let again = Sender::default();
    let sent = bed.store.send(&delivery, &record, &again, ("key", None), NOW, NOW + 1).await.unwrap();
    assert_eq!(sent, Send::Go(None));
    bed.store.unsend(&delivery, id, &sender, NOW).await.unwrap();
    assert_eq!(bed.phase(id).await, Phase::Sending, "a repeat of the first takes back what it did not do");
    // Once Omni has the job there is no way back.
    bed.store.sent(&record, JOB, NOW, NOW + 2).await.unwrap();
    bed.store.unsend(&delivery, id, &again, NOW).await.unwrap();
    assert_eq!(bed.phase(id).await, Phase::Submitted);
}

/// Its webhook overtook the answer to its create: that is recorded first, unless it never comes.
#[tokio::test]
async fn an_end_waits_until_its_create_is_recorded() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap();
    let long = Duration::from_secs(5);
    let finish = bed.store.finish(None, (id, Some("job-1")), NOW + 4999, long, None).await.unwrap();
    assert!(matches!(finish, Finish::Recording) && bed.phase(id).await == Phase::Sending);
    let finish = bed.store.finish(None, (id, Some("job-1")), NOW + 5000, long, None).await.unwrap();
    let Finish::Go(record, None) = finish else { panic!("{finish:?}") };
    assert_eq!((record.phase, record.job_id.as_deref()), (Phase::Finishing, Some("job-1")));
}

/// The sender was cut off from Redis, its entry was claimed and ended by somebody who found `sending`; then the sender
/// comes back with a 429.
#[tokio::test]
async fn what_omni_did_not_take_is_queued_even_when_its_entry_is_gone() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Prompts, "first").await;
    let second = bed.consumer(Stream::Prompts, "second").await;
    let id = bed.accept("c").await;
    let held = next(&mut first).await;
    let record = bed.record(id).await;
    let sender = Sender::default();
    bed.store.send(&held, &record, &sender, ("key", None), NOW, NOW + 1).await.unwrap();
    let claimed = claim_one(&second).await;
    let _ = bed.store.done(&claimed).await.unwrap();

    bed.store.unsend(&held, id, &sender, NOW).await.unwrap();
    let again = next(&mut first).await;
    assert_eq!((prompt_of(&again), bed.phase(id).await), (id, Phase::Queued));
    assert_eq!(
        bed.store.send(&again, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap(),
        Send::Go(None)
    );
}

/// The prompt was given up and replayed, and then Omni's answer to its first create was recorded after all.
#[tokio::test]
async fn a_prompt_whose_job_is_known_is_not_sent_again() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    assert_eq!(bed.store.sent(&record, JOB, NOW, NOW + 2).await.unwrap(), Recorded::In(Phase::Queued));
    let sent = bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW + 5, NOW + 9).await.unwrap();
    assert_eq!((sent, bed.phase(id).await), (Send::Not(Phase::Submitted), Phase::Submitted));
    assert_eq!(bed.deadline(id).await, Some(1_900_000_000_128.0), "it is looked at at once");
}

#[tokio::test]
async fn the_second_prompt_continues_the_conversation_of_the_first() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (one, two) = (bed.accept("c").await, bed.accept("c").await);
    let delivery = next(&mut submit).await;
    let record = bed.record(one).await;
    bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap();
    assert_eq!(bed.store.sent(&record, JOB, NOW, NOW + 2).await.unwrap(), Recorded::In(Phase::Submitted));
    assert_eq!(bed.store.sent(&record, JOB, NOW, NOW + 2).await.unwrap(), Recorded::In(Phase::Submitted), "a repeat");
    assert_eq!(bed.deadline(one).await, Some(1_900_000_000_125.0));
    assert_eq!(bed.store.prompt_of_job("job-1").await.unwrap(), Some(one));
    let alias: String = bed.ask(&["GET", &bed.store.keys().alias("omnis-1")]).await;
    assert_eq!(alias, "c");
    let _ = bed.store.done(&delivery).await.unwrap();
    bed.end(&mut inbox, one, "c", EntryType::Answer).await;

    let delivery = next(&mut submit).await;
    let sent = bed
        .store
        .send(&delivery, &bed.record(two).await, &Sender::default(), ("key", None), NOW, NOW + 1)
        .await
        .unwrap();
    assert_eq!(sent, Send::Go(Some("omnis-1".to_owned())));
}

#[tokio::test]
async fn a_201_for_a_settled_prompt_changes_nothing_else() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (id, follower) = (bed.accept("c").await, bed.accept("c").await);
    let delivery = next(&mut submit).await;
    let record = bed.record(id).await;
    bed.store.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW + 1).await.unwrap();
    bed.end(&mut inbox, id, "c", EntryType::Answer).await;

    assert_eq!(bed.store.sent(&record, JOB, NOW, NOW + 2).await.unwrap(), Recorded::In(Phase::Answered));
    let settled = bed.record(id).await;
    assert_eq!((settled.phase, settled.job_id.as_deref()), (Phase::Answered, Some("job-1")));
    assert_eq!(settled.at.get(&Phase::Submitted), None);
    assert_eq!(bed.deadline(id).await, None, "a settled prompt is checked again");
    assert_eq!(bed.slot("c", "active").await, Some(follower.to_string()));
    assert!(bed.life(&bed.store.keys().prompt(&id.to_string())).await > 0, "the record's end was taken away");

    let other = Job { job_id: "job-2", ..JOB };
    assert_eq!(bed.store.sent(&record, other, NOW, NOW + 2).await.unwrap(), Recorded::Other("job-1".to_owned()));
    assert_eq!(bed.store.prompt_of_job("job-2").await.unwrap(), None);
    let mut gone = record;
    gone.id = new_id();
    assert_eq!(bed.store.sent(&gone, other, NOW, NOW + 2).await.unwrap(), Recorded::Missing);
    assert!(bed.store.record(gone.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_refused_prompt_and_what_its_readers_are_owed_go_together() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let finding = Finding::new(id, named("c"), Verdict::Expired);
    assert_eq!(bed.store.refuse(&delivery, finding.clone(), NOW).await.unwrap(), Settled::Yes);
    assert_eq!((bed.phase(id).await, bed.depth(Stream::Prompts).await), (Phase::Finishing, (0, 0)));
    assert_eq!(bed.store.refuse(&delivery, finding, NOW).await.unwrap(), Settled::Lost);
    assert_eq!(bed.depth(Stream::Inbox).await, (1, 0), "a repeat tells it twice");
    let told = next(&mut inbox).await;
    let envelope: Envelope<Event> = serde_json::from_slice(told.field("entry").unwrap()).unwrap();
    assert!(matches!(envelope.work, Event::Finding(finding) if finding.prompt_id == id));
    assert_eq!(bed.slot("c", "active").await, Some(id.to_string()), "the conversation is freed when the end is out");
}
