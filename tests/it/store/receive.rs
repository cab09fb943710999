//! receive and finish: what Omni said comes in once.

use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::{EntryType, JobState, Phase, Webhook};
use omni_relay::store::delivery::Stream;
use omni_relay::store::inbox::{Finish, Received};
use uuid::Uuid;

use super::bed::{Bed, DAY, NOW, new_id, webhook};

#[tokio::test]
async fn an_event_leads_to_its_job_as_long_as_it_is_remembered() {
    let bed = Bed::new().await;
    let job = Uuid::new_v4();
    bed.store.receive(webhook(job)).await.unwrap();
    let event = format!("event of {job}");
    assert_eq!(bed.store.job_of_event(&event).await.unwrap(), Some(job.to_string()));
    assert_eq!(bed.store.job_of_event("another").await.unwrap(), None);
    // As version 0.1.0 remembers it.
    let mark = bed.store.keys().seen_event(&event);
    let _: String = bed.ask(&["SET", &mark, "1"]).await;
    assert_eq!(bed.store.job_of_event(&event).await.unwrap(), None);
}

/// Omni sends it again, and must not hear that it was taken.
#[tokio::test]
async fn what_could_not_be_stored_is_no_duplicate_when_it_comes_again() {
    let bed = Bed::new().await;
    let (job, inbox) = (Uuid::new_v4(), &bed.store.keys().inbox);
    let _: String = bed.ask(&["SET", inbox, "no stream"]).await;
    assert!(bed.store.receive(webhook(job)).await.is_err());
    let _: usize = bed.ask(&["DEL", inbox]).await;
    assert_eq!(bed.store.receive(webhook(job)).await.unwrap(), Received::Stored);
}

#[tokio::test]
async fn fifty_copies_leave_one_entry() {
    let bed = Bed::new().await;
    let job = Uuid::new_v4();
    let replicas: Vec<_> = (0..5).map(|_| bed.replica()).collect();
    let outcomes = join_all((0..50).map(|n| replicas[n % 5].receive(webhook(job)))).await;
    let stored = outcomes.into_iter().filter(|outcome| *outcome.as_ref().unwrap() == Received::Stored).count();
    let length: usize = bed.ask(&["XLEN", &bed.store.keys().inbox]).await;
    assert_eq!((stored, length), (1, 1));
}

#[tokio::test]
async fn a_final_state_comes_in_once_whatever_event_says_it() {
    let bed = Bed::new().await;
    let job = Uuid::new_v4();
    let said = |event: Option<&str>, state: JobState, body: &str| Webhook {
        event_id: event.map(str::to_owned),
        state,
        body: body.to_owned(),
        ..webhook(job)
    };
    assert_eq!(bed.store.receive(said(Some("1"), JobState::Complete, "a")).await.unwrap(), Received::Stored);
    assert_eq!(bed.store.receive(said(Some("2"), JobState::Complete, "b")).await.unwrap(), Received::Duplicate);
    assert_eq!(bed.store.receive(said(None, JobState::Complete, "c")).await.unwrap(), Received::Duplicate);
    assert_eq!(bed.store.receive(said(Some("3"), JobState::Failed, "d")).await.unwrap(), Received::Stored);
    assert_eq!(bed.store.receive(said(Some("3"), JobState::Cancelled, "d")).await.unwrap(), Received::Duplicate);
    // Without an id of its own a webhook is its bytes.
    let nameless = |state: JobState| Webhook { event_id: None, state, ..webhook(Uuid::from_u128(1)) };
    assert_eq!(bed.store.receive(nameless(JobState::Complete)).await.unwrap(), Received::Stored);
    assert_eq!(bed.store.receive(nameless(JobState::Failed)).await.unwrap(), Received::Duplicate);
    let length: usize = bed.ask(&["XLEN", &bed.store.keys().inbox]).await;
    assert_eq!(length, 3);
}

/// Omni's ids of events hold eight digits of their own.
#[tokio::test]
async fn an_id_that_another_jobs_event_had_is_another_event() {
    let bed = Bed::new().await;
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let said = |job: Uuid| Webhook { event_id: Some("evt_1".to_owned()), ..webhook(job) };
    assert_eq!(bed.store.receive(said(one)).await.unwrap(), Received::Stored);
    assert_eq!(bed.store.receive(said(other)).await.unwrap(), Received::Stored);
    for again in [one, other] {
        assert_eq!(bed.store.receive(said(again)).await.unwrap(), Received::Duplicate);
    }
    assert_eq!(bed.store.job_of_event("evt_1").await.unwrap(), Some(other.to_string()), "the last one's");
    let length: usize = bed.ask(&["XLEN", &bed.store.keys().inbox]).await;
    assert_eq!(length, 2);
}

#[tokio::test]
async fn marks_outlive_the_sender() {
    let bed = Bed::new().await;
    let job = Uuid::new_v4();
    bed.store.receive(webhook(job)).await.unwrap();
    let keys = bed.store.keys();
    for mark in [keys.seen_event(&format!("event of {job}")), keys.seen_job(job, &JobState::Complete)] {
        let life = bed.life(&mark).await;
        let whole = i64::try_from(3 * DAY).unwrap();
        assert!((whole - 60_000..=whole).contains(&life), "{mark} lives {life} ms");
    }
}

#[tokio::test]
async fn a_final_state_finishes_a_prompt_and_adopts_its_job() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("c").await;
    assert!(matches!(
        bed.store.finish(None, (id, Some("job-1")), NOW, Duration::ZERO, None).await.unwrap(),
        Finish::Go(..)
    ));
    assert!(
        matches!(
            bed.store.finish(None, (id, Some("job-1")), NOW + 5, Duration::ZERO, None).await.unwrap(),
            Finish::Go(..)
        ),
        "safe to repeat"
    );
    let record = bed.record(id).await;
    assert_eq!((record.phase, record.job_id.as_deref()), (Phase::Finishing, Some("job-1")));
    assert_eq!(record.at[&Phase::Finishing], NOW, "a repeat moved its time");
    assert_eq!(bed.store.prompt_of_job("job-1").await.unwrap(), Some(id));
    assert!(
        matches!(bed.store.finish(None, (id, Some("job-2")), NOW, Duration::ZERO, None).await.unwrap(), Finish::Other(job) if job == "job-1")
    );
    assert!(matches!(bed.store.finish(None, (id, None), NOW, Duration::ZERO, None).await.unwrap(), Finish::Go(..)));
    bed.end(&mut inbox, id, "c", EntryType::Answer).await;
    assert!(matches!(
        bed.store.finish(None, (id, Some("job-1")), NOW, Duration::ZERO, None).await.unwrap(),
        Finish::Terminal(Phase::Answered)
    ));
    assert!(matches!(
        bed.store.finish(None, (new_id(), None), NOW, Duration::ZERO, None).await.unwrap(),
        Finish::Missing
    ));
}

/// Else it would stay `finishing`, and nobody would look at it for hours.
#[tokio::test]
async fn whose_entry_a_failover_took_finishes_nothing() {
    let bed = Bed::new().await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("c").await;
    let delivery = bed.inbox(&mut inbox).await;
    let _: usize = bed.ask(&["XACK", &bed.store.keys().inbox, "relay", delivery.id()]).await;
    let finish = bed.store.finish(Some(&delivery), (id, Some("job-1")), NOW, Duration::ZERO, None).await.unwrap();
    assert!(matches!(finish, Finish::Lost) && bed.phase(id).await == Phase::Queued);
    let delivery = bed.inbox(&mut inbox).await;
    let finish = bed.store.finish(Some(&delivery), (id, Some("job-1")), NOW, Duration::ZERO, None).await.unwrap();
    assert!(matches!(finish, Finish::Go(..)) && bed.phase(id).await == Phase::Finishing);
    let _ = bed.store.done(&delivery).await.unwrap();
}

#[tokio::test]
async fn what_nobody_understands_is_kept_as_it_came() {
    let bed = Bed::new().await;
    bed.store.unhandled(b"\xff{}").await.unwrap();
    let kept: redis::streams::StreamRangeReply = bed.ask(&["XRANGE", &bed.store.keys().unhandled, "-", "+"]).await;
    assert_eq!(kept.ids[0].get::<Vec<u8>>("body").unwrap(), b"\xff{}");
}
