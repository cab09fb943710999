//! grant, close: all replicas together stay inside the budget of each key, and finishing goes before starting. Time is
//! Redis' own here, and the subject: windows are short.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use omni_relay::store::Store;
use omni_relay::store::budget::{Closed, Errand, Grant, Quota, Room};
use omni_relay::store::inbox::Finish;
use tokio::time::{Instant, sleep};

use super::bed::{Bed, NOW};

const KEY: &str = "ba7816bf8f01cfea";

const fn quota(limit: u32, window: u64) -> Quota {
    Quota { limit, window: Duration::from_millis(window), owed: 1 }
}

async fn grant(store: &Store, errand: Errand, quota: Quota) -> Grant {
    store.grant(KEY, errand, 1, quota).await.unwrap()
}

async fn granted(store: &Store, errand: Errand, quota: Quota) -> bool {
    matches!(grant(store, errand, quota).await, Grant::Go(_))
}

/// What came between asking and being granted, so that more than `most` in a window cannot hide behind a slow answer.
#[derive(Clone, Copy)]
struct Granted {
    errand: Errand,
    asked: Instant,
    answered: Instant,
}

fn most_in_a_window(all: &[Granted], window: Duration) -> usize {
    // Redis' clock is read in milliseconds.
    let window = window.saturating_sub(Duration::from_millis(2));
    let within = |first: &Granted| {
        all.iter().filter(|other| other.asked >= first.asked && other.answered - first.asked < window).count()
    };
    all.iter().map(within).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_window_holds_more_than_the_limit_whoever_asks() {
    let bed = Bed::new().await;
    let quota = quota(20, 300);
    let all = Arc::new(Mutex::new(Vec::new()));
    let end = Instant::now() + Duration::from_secs(2);
    let mut askers = tokio::task::JoinSet::new();
    for asker in 0..4_u64 {
        let (store, all) = (bed.replica(), all.clone());
        askers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(asker);
            while Instant::now() < end {
                let errand = [Errand::Finish, Errand::Poll, Errand::Start][random.usize(0..3)];
                let asked = Instant::now();
                match grant(&store, errand, quota).await {
                    Grant::Go(_) => all.lock().unwrap().push(Granted { errand, asked, answered: Instant::now() }),
                    // Some come back when they were told to, some too early.
                    Grant::Wait(pause) => sleep(pause.mul_f64(random.f64())).await,
                    Grant::Closed(..) => panic!("nobody closed it"),
                }
            }
        });
    }
    while askers.join_next().await.transpose().unwrap().is_some() {}
    let all = std::mem::take(&mut *all.lock().unwrap());
    assert!(all.len() > 80, "six windows of twenty, and only {} were granted", all.len());
    assert!(most_in_a_window(&all, quota.window) <= 20);
    let of = |errand: Errand| all.iter().copied().filter(|one| one.errand == errand).collect::<Vec<_>>();
    assert!(most_in_a_window(&of(Errand::Start), quota.window) <= 10, "each start will need another request");
    assert!([Errand::Finish, Errand::Poll, Errand::Start].iter().all(|errand| !of(*errand).is_empty()));
}

#[tokio::test]
async fn starts_leave_room_for_what_their_jobs_will_need() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, quota(10, 60_000));
    for _ in 0..5 {
        assert!(granted(store, Errand::Start, quota).await);
    }
    assert!(!granted(store, Errand::Start, quota).await, "a sixth start would starve a result");
    for _ in 0..5 {
        assert!(granted(store, Errand::Finish, quota).await);
    }
    assert!(!granted(store, Errand::Finish, quota).await);
    let polled = Quota { owed: 2, ..quota };
    for started in 0..3 {
        assert!(matches!(store.grant("another", Errand::Start, 1, polled).await.unwrap(), Grant::Go(_)));
        let used = store.used("another", polled).await.unwrap();
        assert_eq!(used, 3 * (started + 1), "with what the job will need");
    }
    assert!(matches!(store.grant("another", Errand::Start, 1, polled).await.unwrap(), Grant::Wait(_)));
}

/// Requests that went out `age` ago.
async fn went_out(bed: &Bed, list: usize, count: usize, age: Duration) {
    let (seconds, micros): (u64, u64) = bed.ask(&["TIME"]).await;
    let at = (seconds * 1000 + micros / 1000 - u64::try_from(age.as_millis()).unwrap()).to_string();
    let key = &bed.store.keys().budget(KEY)[list];
    for _ in 0..count {
        let _: i64 = bed.ask(&["RPUSH", key, &at]).await;
    }
}

async fn eventually_granted(store: &Store, errand: Errand, quota: Quota) {
    let end = Instant::now() + Duration::from_secs(5);
    while !granted(store, errand, quota).await {
        assert!(Instant::now() < end, "{errand:?} is never granted");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn room_that_a_finisher_waits_for_is_kept_for_it() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, quota(4, 30_000));
    went_out(&bed, 0, 4, Duration::from_millis(29_700)).await;
    let Grant::Wait(pause) = grant(store, Errand::Finish, quota).await else { panic!("five of four") };
    assert!(pause <= Duration::from_millis(300));
    sleep(pause).await;
    assert!(!granted(store, Errand::Start, quota).await, "it waited for this room");
    assert!(!granted(store, Errand::Poll, quota).await, "it waited for this room");
    assert!(granted(store, Errand::Finish, quota).await);
    eventually_granted(store, Errand::Start, quota).await;
}

#[tokio::test]
async fn who_ends_a_prompt_is_granted_the_result_by_the_key_that_asked() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, quota(2, 30_000));
    let id = bed.accept("c").await;
    let finish =
        async |key: &'static str| match store.finish(None, (id, None), NOW, Duration::ZERO, Some((key, quota))).await {
            Ok(Finish::Go(_, grant)) => grant,
            other => panic!("{other:?}"),
        };
    assert!(matches!(finish(KEY).await, Some(Grant::Go(_))));
    assert_eq!(store.used(KEY, quota).await.unwrap(), 1);
    assert!(granted(store, Errand::Finish, quota).await, "both count in one window");
    assert!(matches!(finish(KEY).await, Some(Grant::Wait(_))));
    assert!(!granted(store, Errand::Start, quota).await);
    let record = store.keys().prompt(&id.to_string());
    let _: usize = bed.ask(&["HSET", &record, "keyId", "another"]).await;
    assert!(finish(KEY).await.is_none(), "not with a key that did not create the job");
    assert!(matches!(finish("another").await, Some(Grant::Go(_))));
    assert_eq!(store.used("another", quota).await.unwrap(), 1);
}

#[tokio::test]
async fn polls_have_a_share_that_starts_cannot_take() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, Quota { owed: 0, ..quota(10, 30_000) });
    went_out(&bed, 0, 10, Duration::from_millis(29_700)).await;
    let Grant::Wait(pause) = grant(store, Errand::Poll, quota).await else { panic!("eleven of ten") };
    sleep(pause).await;
    assert!(!granted(store, Errand::Start, quota).await, "a poll waited for this room");
    for _ in 0..4 {
        assert!(granted(store, Errand::Poll, quota).await);
    }
    eventually_granted(store, Errand::Start, quota).await;
    assert!(granted(store, Errand::Start, quota).await);
    assert!(!granted(store, Errand::Poll, quota).await, "beyond their share polls leave room");
    assert!(granted(store, Errand::Start, quota).await, "and keep nobody out");
}

#[tokio::test]
async fn a_closed_key_is_closed_for_every_replica_and_for_no_other_key() {
    let bed = Bed::new().await;
    let (here, there, quota) = (bed.replica(), bed.replica(), quota(10, 60_000));
    let (pause, news) = here.close(KEY, Closed::Throttled, Some(Duration::from_millis(300)), quota).await.unwrap();
    assert!(news && pause == Duration::from_millis(300));
    let (_, news) = there.close(KEY, Closed::Throttled, Some(Duration::from_millis(200)), quota).await.unwrap();
    assert!(!news, "the second answer of the same burst");
    for (before, errand) in [Errand::Finish, Errand::Poll, Errand::Start].into_iter().enumerate() {
        let Grant::Closed(pause, Closed::Throttled) = grant(&there, errand, quota).await else { panic!("open") };
        // Each comes after those before it that were turned away.
        let least = Duration::from_millis(300) + Duration::from_secs(before.try_into().unwrap());
        assert!(pause <= least, "{errand:?}: {pause:?}");
    }
    assert!(matches!(there.room(KEY, 5, quota).await.unwrap(), Room::Closed(_, Closed::Throttled)));
    assert!(matches!(there.grant("another", Errand::Start, 1, quota).await.unwrap(), Grant::Go(_)));
    sleep(pause).await;
    assert!(!granted(&there, Errand::Start, quota).await, "a finisher was turned away, and comes first");
    assert!(granted(&here, Errand::Finish, quota).await);
}

#[tokio::test]
async fn a_key_that_is_throttled_again_stays_closed_for_longer() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, quota(10, 3_000));
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let (pause, news) = store.close(KEY, Closed::Throttled, None, quota).await.unwrap();
        let (burst, again) = store.close(KEY, Closed::Throttled, None, quota).await.unwrap();
        assert!(news && !again && burst <= pause + Duration::from_millis(1), "one strike for a burst");
        pauses.push(pause.as_millis());
        sleep(pause + Duration::from_millis(2)).await;
    }
    assert_eq!(pauses, [50, 100, 200, 400]);
    let (pause, news) = store.close(KEY, Closed::Refused, Some(Duration::from_hours(9)), quota).await.unwrap();
    assert!(news && pause == Duration::from_hours(1), "nobody closes a key for ever");
}

#[tokio::test]
async fn looking_counts_nothing_and_says_when_there_is_room() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, quota(10, 500));
    for _ in 0..20 {
        assert_eq!(store.room(KEY, 16, quota).await.unwrap(), Room::For(5));
    }
    assert_eq!(store.room(KEY, 2, quota).await.unwrap(), Room::For(2));
    for left in (0..5).rev() {
        assert!(granted(store, Errand::Start, quota).await);
        if left > 0 {
            assert_eq!(store.room(KEY, 16, quota).await.unwrap(), Room::For(left));
        }
    }
    let Room::NotBefore(pause) = store.room(KEY, 16, quota).await.unwrap() else { panic!("room for more") };
    sleep(pause).await;
    assert!(matches!(store.room(KEY, 16, quota).await.unwrap(), Room::For(_)));
}

#[tokio::test]
async fn a_tiny_limit_still_lets_one_request_through_and_an_idle_key_leaves_nothing_behind() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, quota(1, 100));
    for errand in [Errand::Start, Errand::Finish, Errand::Poll, Errand::Start] {
        while !granted(store, errand, quota).await {
            sleep(Duration::from_millis(5)).await;
        }
    }
    sleep(2 * quota.window).await;
    for key in store.keys().budget(KEY) {
        let there: bool = bed.ask(&["EXISTS", &key]).await;
        assert!(!there, "{key} stays");
    }
}

#[tokio::test]
async fn a_request_that_took_long_counts_from_its_answer() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, quota(2, 400));
    let Grant::Go(at) = grant(store, Errand::Finish, quota).await else { panic!("none yet") };
    assert!(granted(store, Errand::Finish, quota).await);
    sleep(quota.window / 2).await;
    store.delayed(KEY, at, quota).await.unwrap();
    sleep(quota.window / 2).await;
    assert!(granted(store, Errand::Finish, quota).await, "the other one left the window");
    assert!(!granted(store, Errand::Finish, quota).await, "it may have arrived half a window ago");
    store.delayed(KEY, at, quota).await.unwrap();
    let counted: u32 = bed.ask(&["LLEN", &store.keys().budget(KEY)[0]]).await;
    assert_eq!(counted, 2, "what is not counted any more is not counted again");
}

#[tokio::test]
async fn a_look_at_what_is_used_counts_nothing() {
    let bed = Bed::new().await;
    let (store, quota) = (&bed.store, quota(10, 60_000));
    assert_eq!(store.used(KEY, quota).await.unwrap(), 0);
    assert!(granted(store, Errand::Start, quota).await);
    for _ in 0..20 {
        assert_eq!(store.used(KEY, quota).await.unwrap(), 2, "a start, and what its job will need");
    }
    assert!(granted(store, Errand::Finish, quota).await);
}
