//! Stage streams: claims, renewals, groups that get lost, readers that go away.

use std::time::Duration;

use omni_relay::store::StoreError;
use omni_relay::store::delivery::{Settled, Stream};
use omni_relay::store::streams::Consumer;
use tokio::time::Instant;

use super::bed::{BLOCK, Bed, claim_one, next, prompt_of};

#[tokio::test]
async fn deliveries_are_counted_and_renewals_are_not() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Prompts, "0").await;
    bed.accept("c").await;
    let mut held = next(&mut first).await;
    assert_eq!(held.deliveries(), 1);
    for times in 2..=7 {
        for _ in 0..3 {
            assert_eq!(bed.store.renew(&held).await.unwrap(), Settled::Yes);
        }
        let heir = bed.consumer(Stream::Prompts, &times.to_string()).await;
        let claimed = claim_one(&heir).await;
        assert_eq!((claimed.deliveries(), claimed.consumer()), (times, times.to_string().as_str()));
        assert_eq!(bed.store.renew(&held).await.unwrap(), Settled::Lost);
        held = claimed;
    }
}

#[tokio::test]
async fn a_renewed_entry_is_nobody_elses() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Prompts, "first").await;
    let second = bed.consumer(Stream::Prompts, "second").await;
    bed.accept("c").await;
    let held = next(&mut first).await;
    let idle = Duration::from_millis(400);
    let until = Instant::now() + 3 * idle;
    while Instant::now() < until {
        assert_eq!(bed.store.renew(&held).await.unwrap(), Settled::Yes);
        assert!(second.claim(10, idle).await.unwrap().is_empty(), "claimed while it was renewed");
    }
    let give_up = Instant::now() + 10 * idle;
    while second.claim(10, idle).await.unwrap().is_empty() {
        assert!(Instant::now() < give_up, "an abandoned entry is never claimed");
    }
}

#[tokio::test]
async fn claims_come_in_order_and_skip_what_was_deleted() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Prompts, "first").await;
    let second = bed.consumer(Stream::Prompts, "second").await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(bed.accept(&format!("c-{n}")).await);
    }
    let held = first.read(10, BLOCK).await.unwrap();
    bed.ask::<usize>(&["XDEL", &bed.store.keys().prompts, held[0].id()]).await;
    // One at a time, as an intake reader does: the ghost in front must not hide the others for ever.
    let mut claimed = Vec::new();
    for _ in 0..4 {
        let Some(delivery) = second.claim(1, Duration::ZERO).await.unwrap().pop() else { continue };
        claimed.push(prompt_of(&delivery));
        let _ = bed.store.done(&delivery).await.unwrap();
    }
    assert_eq!(claimed, ids[1..]);
    assert_eq!(bed.depth(Stream::Prompts).await, (0, 0), "a deleted entry stays pending");
}

#[tokio::test]
async fn what_is_claimed_together_comes_in_order() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Prompts, "first").await;
    let second = bed.consumer(Stream::Prompts, "second").await;
    let mut ids = Vec::new();
    for n in 0..12 {
        ids.push(bed.accept(&format!("c-{n}")).await);
    }
    assert_eq!(first.read(20, BLOCK).await.unwrap().len(), 12);
    let claimed: Vec<_> = second.claim(20, Duration::ZERO).await.unwrap().iter().map(prompt_of).collect();
    assert_eq!(claimed, ids);
}

#[tokio::test]
async fn a_lost_group_is_made_again_and_skips_nothing() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let first = bed.accept("c").await;
    let held = next(&mut submit).await;
    bed.ask::<i32>(&["XGROUP", "DESTROY", &bed.store.keys().prompts, "relay"]).await;
    let second = bed.accept("d").await;

    assert!(
        matches!(bed.store.done(&held).await, Err(StoreError::NoGroup)),
        "the error inside a script is not recognised"
    );
    assert!(matches!(bed.store.renew(&held).await, Err(StoreError::NoGroup)));
    assert!(submit.claim(10, Duration::ZERO).await.unwrap().is_empty());
    assert!(submit.read(10, BLOCK).await.unwrap().is_empty(), "the read that finds it lost makes it");
    let again: Vec<_> = submit.read(10, BLOCK).await.unwrap().iter().map(prompt_of).collect();
    assert_eq!(again, [first, second]);
    // Making it once more changes nothing.
    submit.make_group().await.unwrap();
    assert_eq!(bed.depth(Stream::Prompts).await, (2, 2));
}

#[tokio::test]
async fn a_flush_under_a_blocking_reader_does_not_end_it() {
    let mut server = crate::redis::TestRedis::private().await;
    let redis = omni_relay::store::connection::Redis::new(&server.url()).unwrap();
    let store = omni_relay::store::Store::new(redis, "flushed", super::bed::policy());
    let mut inbox = Consumer::new(store.clone(), Stream::Inbox, "i");
    inbox.make_group().await.unwrap();
    let flush = async {
        blocked_clients(&store, 1).await;
        store.redis().query::<String>(&redis::cmd("FLUSHALL")).await.unwrap();
        store.receive(super::bed::webhook(uuid::Uuid::new_v4())).await.unwrap();
    };
    let (_first, ()) = tokio::join!(inbox.read(1, Duration::from_secs(5)), flush);
    let give_up = Instant::now() + Duration::from_secs(5);
    loop {
        match inbox.read(1, BLOCK).await {
            Ok(read) if read.len() == 1 => break,
            Ok(_) => {}
            Err(error) => assert!(error.passes(), "{error:?}"),
        }
        assert!(Instant::now() < give_up, "what came after the flush is never read");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_reader_that_is_dropped_takes_nothing_with_it() {
    let mut server = crate::redis::TestRedis::private().await;
    let redis = omni_relay::store::connection::Redis::new(&server.url()).unwrap();
    let store = omni_relay::store::Store::new(redis, "dropped", super::bed::policy());
    let mut gone = Consumer::new(store.clone(), Stream::Inbox, "gone");
    gone.make_group().await.unwrap();
    tokio::select! {
        _ = gone.read(1, Duration::from_secs(30)) => panic!("nothing was there to read"),
        () = blocked_clients(&store, 1) => {}
    }
    blocked_clients(&store, 0).await;
    store.receive(super::bed::webhook(uuid::Uuid::new_v4())).await.unwrap();
    let mut left = Consumer::new(store, Stream::Inbox, "left");
    let delivery = next(&mut left).await;
    assert_eq!((delivery.deliveries(), delivery.consumer()), (1, "left"));
    server.stop().await;
}

#[tokio::test]
async fn a_consumer_leaves_when_it_holds_nothing() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Prompts, "first").await;
    let second = bed.consumer(Stream::Prompts, "second").await;
    bed.accept("c").await;
    let held = next(&mut first).await;
    assert!(!second.retire("first").await.unwrap(), "what it holds would be lost");
    assert_eq!(bed.depth(Stream::Prompts).await, (1, 1));
    let _ = bed.store.done(&held).await.unwrap();
    let give_up = Instant::now() + Duration::from_secs(5);
    while second.forgotten(Duration::ZERO).await.unwrap() != ["first"] {
        assert!(Instant::now() < give_up, "an idle consumer is not seen as forgotten");
    }
    assert!(second.forgotten(Duration::from_mins(1)).await.unwrap().is_empty());
    assert!(second.retire("first").await.unwrap());
    assert!(consumers(&bed).await.iter().all(|name| name != "first"));
}

async fn consumers(bed: &Bed) -> Vec<String> {
    let reply: redis::streams::StreamInfoConsumersReply =
        bed.ask(&["XINFO", "CONSUMERS", &bed.store.keys().prompts, "relay"]).await;
    reply.consumers.into_iter().map(|one| one.name).collect()
}

#[tokio::test]
async fn one_replica_at_a_time_reads_in_order() {
    let bed = Bed::new().await;
    let (first, second) = (bed.consumer(Stream::Intake, "first").await, bed.consumer(Stream::Intake, "second").await);
    let life = Duration::from_millis(300);
    assert!(bed.store.lease(first.name(), life).await.unwrap());
    assert!(!bed.store.lease(second.name(), life).await.unwrap());
    assert!(bed.store.lease(first.name(), life).await.unwrap(), "its holder renews it");
    assert!(!bed.store.lease(second.name(), life).await.unwrap());
    let give_up = Instant::now() + 10 * life;
    while !bed.store.lease(second.name(), life).await.unwrap() {
        assert!(Instant::now() < give_up, "the lease of a dead replica never ends");
    }
    assert!(!bed.store.lease(first.name(), life).await.unwrap(), "two hold it");
}

async fn blocked_clients(store: &omni_relay::store::Store, wanted: usize) {
    let give_up = Instant::now() + Duration::from_secs(5);
    loop {
        let mut command = redis::cmd("INFO");
        command.arg("clients");
        let info: String = store.redis().query(&command).await.unwrap();
        let blocked = info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).unwrap();
        if blocked.trim().parse() == Ok(wanted) {
            return;
        }
        assert!(Instant::now() < give_up, "{blocked} readers block instead of {wanted}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_is_what_nobody_read_and_as_old_as_what_nobody_settled() {
    let bed = Bed::new().await;
    let zero = Duration::ZERO;
    let lags = bed.store.lags().await.unwrap();
    let seen: Vec<_> = lags.iter().map(|lag| (lag.stage, lag.unread, lag.oldest)).collect();
    assert_eq!(seen, [("intake", 0, zero), ("submit", 0, zero), ("process", 0, zero)], "without a stream or a group");

    let mut consumer = bed.consumer(Stream::Intake, "0").await;
    let (seconds, _): (u64, u64) = bed.ask(&["TIME"]).await;
    let key = bed.store.keys().intake.clone();
    for age in [90, 30, 10] {
        let _: String = bed.ask(&["XADD", &key, &format!("{}-0", (seconds - age) * 1000), "data", "{}"]).await;
    }
    let intake = async || bed.store.lags().await.unwrap()[0];
    let aged = |lag: omni_relay::store::lag::Lag, age: u64| (age..age + 10).contains(&lag.oldest.as_secs());
    assert!(intake().await.unread == 3 && aged(intake().await, 90), "{:?}", intake().await);
    let held = consumer.read(1, BLOCK).await.unwrap().pop().unwrap();
    assert!(intake().await.unread == 2 && aged(intake().await, 90), "held is not settled: {:?}", intake().await);
    assert_eq!(bed.store.done(&held).await.unwrap(), Settled::Yes);
    assert!(intake().await.unread == 2 && aged(intake().await, 30), "{:?}", intake().await);
}
