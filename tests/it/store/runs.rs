//! Runs: many dead letters decided on as if each alone had been, whoever drives them and however often that one dies.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, join, stream};
use jiff::Timestamp;
use omni_relay::model::letter::LetterFilter;
use omni_relay::model::run::{Action, Order, Run, RunState, WholeRun};
use omni_relay::model::{Phase, Tenant};
use omni_relay::pipeline::runs::Drove;
use omni_relay::pipeline::{DeadLetters, Runs};
use omni_relay::runtime::{Clock, Lifecycle, Stop};
use omni_relay::store::Store;
use omni_relay::store::delivery::Stream;
use redis::streams::StreamRangeReply;

use super::bed::{Bed, NOW, next};
use super::bury::bury;
use super::letters::put;

const CHECK: Duration = Duration::from_secs(75);

/// Somebody who decides a minute after [`NOW`].
fn operator(store: Store) -> Runs {
    let clock = Clock::shiftable();
    clock.shift(Duration::from_millis(NOW + 60_000 - clock.now_ms()));
    Runs::new(store.clone(), DeadLetters::new(store, clock.clone(), CHECK), clock)
}

fn all(action: Action) -> Order {
    Order { action, filter: LetterFilter::default(), rate: 0, dry_run: false }
}

fn of_reason(action: Action, reason: &str) -> Order {
    Order { filter: LetterFilter { reason: Some(reason.to_owned()), ..LetterFilter::default() }, ..all(action) }
}

async fn many(bed: &Bed, count: u64) {
    let reason = |n| if n % 3 == 0 { "malformed" } else { "poison" };
    let ids = stream::iter(0..count).map(|n| (n, format!("l-{n:05}")));
    ids.for_each_concurrent(64, |(n, id)| async move { put(bed, &id, n / 7, reason(n)).await }).await;
}

async fn driven(runs: &Runs, bed: &Bed, order: Order) -> WholeRun {
    let run = runs.create(order, "ops").await.unwrap();
    assert_eq!(runs.drive(&run.id, &Stop::default()).await.unwrap(), Drove::Ended);
    shown(bed, &run).await
}

async fn shown(bed: &Bed, run: &Run) -> WholeRun {
    bed.store.run(&run.id).await.unwrap().expect("a run")
}

async fn open(bed: &Bed) -> usize {
    bed.ask(&["ZCARD", &bed.store.keys().dead]).await
}

async fn inbox(bed: &Bed) -> usize {
    bed.ask(&["XLEN", &bed.store.keys().inbox]).await
}

/// What was written down, as `<who> <what> <details>`.
async fn audit(bed: &Bed) -> Vec<String> {
    let entries: StreamRangeReply = bed.ask(&["XRANGE", &bed.store.keys().audit, "-", "+"]).await;
    let text = |entry: &redis::streams::StreamId, name: &str| entry.get::<String>(name).unwrap_or_default();
    entries.ids.iter().map(|one| ["who", "what", "details"].map(|name| text(one, name)).join(" ")).collect()
}

#[tokio::test]
async fn every_letter_that_fits_is_decided_on_and_running_again_finds_none() {
    let bed = Bed::new().await;
    let runs = operator(bed.store.clone());
    many(&bed, 1500).await;
    let whole = driven(&runs, &bed, of_reason(Action::Replay, "poison")).await;
    let counts = whole.run.counts;
    assert_eq!((whole.run.state, counts.matched, counts.replayed), (RunState::Done, 1000, 1000), "{whole:?}");
    assert_eq!((counts.discarded, counts.already, counts.failed), (0, 0, 0));
    assert_eq!((whole.run.progress.looked_at, whole.run.progress.of), (1500, 1500));
    assert_eq!((open(&bed).await, inbox(&bed).await), (500, 1000));
    let causes: Vec<(&str, u64)> = whole.groups.iter().map(|group| (group.fingerprint.as_str(), group.count)).collect();
    assert_eq!((causes, whole.samples.len()), (vec![("poison", 1000)], 5));
    let said = audit(&bed).await;
    let details = format!(r#"ops replay {{"run":"{}"}}"#, whole.run.id);
    assert!(said[0].starts_with(r#"ops run {"action":"replay""#), "{}", said[0]);
    assert_eq!(said.iter().filter(|entry| **entry == details).count(), 1000);

    let again = driven(&runs, &bed, of_reason(Action::Replay, "poison")).await;
    assert_eq!((again.run.state, again.run.counts.matched), (RunState::Done, 0));
    let rest = driven(&runs, &bed, all(Action::Discard)).await;
    assert_eq!((rest.run.counts.matched, rest.run.counts.discarded, open(&bed).await), (500, 500, 0));
    assert_eq!(inbox(&bed).await, 1000);
    assert_eq!(bed.store.running_runs().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let bed = Bed::new().await;
    let runs = operator(bed.store.clone());
    for n in 0..60 {
        put(&bed, &format!("l-{n}"), n, &format!("cause-{}", n % 25)).await;
    }
    let whole = driven(&runs, &bed, Order { dry_run: true, ..all(Action::Discard) }).await;
    assert_eq!((whole.run.state, whole.run.counts.matched, whole.run.counts.discarded), (RunState::Done, 60, 0));
    assert_eq!((whole.groups.len(), whole.more_groups, whole.samples.len()), (20, 5, 5), "{whole:?}");
    assert_eq!(whole.groups.iter().take(10).map(|group| group.count).collect::<Vec<_>>(), [3; 10]);
    let first = &whole.groups[0];
    assert!(first.first_at < first.last_at && first.error == "timed out" && first.stage == "process", "{first:?}");
    assert_eq!(whole.samples[0]["id"], "l-0");
    assert_eq!((open(&bed).await, inbox(&bed).await), (60, 0));
    let groups = runs.groups(&LetterFilter::default()).await.unwrap();
    assert_eq!((groups.len(), groups.iter().map(|group| group.count).sum::<u64>()), (25, 60));
}

#[tokio::test]
async fn a_stopped_run_leaves_the_rest_and_the_next_one_takes_it() {
    let bed = Bed::new().await;
    let runs = operator(bed.store.clone());
    many(&bed, 300).await;
    let run = runs.create(Order { rate: 40, ..all(Action::Replay) }, "ops").await.unwrap();
    let stop = Stop::default();
    let stopping = async {
        while shown(&bed, &run).await.run.counts.replayed < 40 {
            tokio::task::yield_now().await;
        }
        runs.stop(&run.id, "boss").await.unwrap().expect("a run")
    };
    let (drove, told) = join!(runs.drive(&run.id, &stop), stopping);
    assert_eq!((drove.unwrap(), told.run.state), (Drove::Ended, RunState::Stopped));
    let whole = shown(&bed, &run).await;
    let counts = whole.run.counts;
    assert_eq!((whole.run.state, counts.matched), (RunState::Stopped, counts.replayed), "{whole:?}");
    assert!((40..=80).contains(&counts.replayed), "it went on: {counts:?}");
    assert!(whole.run.ended_at.is_some());
    assert_eq!(open(&bed).await as u64, 300 - counts.replayed);
    assert_eq!(runs.drive(&run.id, &stop).await.unwrap(), Drove::Ended, "what is stopped goes on");
    assert_eq!(open(&bed).await as u64, 300 - counts.replayed);
    assert_eq!(audit(&bed).await.last().map(String::as_str), Some("boss stop "));
    assert_eq!(runs.stop(&run.id, "boss").await.unwrap().unwrap().run.state, RunState::Stopped);
    assert_eq!(runs.stop("nothing", "boss").await.unwrap(), None);

    let rest = driven(&runs, &bed, all(Action::Replay)).await;
    assert_eq!((rest.run.counts.replayed + counts.replayed, open(&bed).await), (300, 0));
    assert_eq!(inbox(&bed).await, 300, "some were replayed twice");
}

/// Whatever moment a driver dies at: what it left is taken by the next, nothing twice, and the counts are exact.
#[tokio::test(flavor = "multi_thread")]
async fn drivers_may_die_at_any_moment() {
    let bed = Bed::new().await;
    many(&bed, 2000).await;
    let run = operator(bed.store.clone()).create(all(Action::Replay), "ops").await.unwrap();
    let [_, lease, _] = bed.store.keys().run(&run.id);
    let (mut died, stop) = (0_u64, Stop::default());
    loop {
        let driver = operator(bed.store.clone());
        // Ever longer, so that it ends on the slowest machine too.
        let life = Duration::from_micros(fastrand::u64(0..5_000 * (died + 1)));
        if let Ok(drove) = tokio::time::timeout(life, driver.drive(&run.id, &stop)).await {
            assert_eq!(drove.unwrap(), Drove::Ended);
            break;
        }
        died += 1;
        // Another may only have it once it is given up.
        bed.ask::<i64>(&["DEL", &lease]).await;
    }
    let whole = shown(&bed, &run).await;
    let counts = whole.run.counts;
    println!("{died} drivers died");
    assert!(died > 0);
    assert_eq!((whole.run.state, counts.matched), (RunState::Done, 2000), "{whole:?}");
    assert_eq!((counts.replayed, counts.already, counts.failed), (2000, 0, 0));
    assert_eq!(whole.groups.iter().map(|group| group.count).sum::<u64>(), 2000);
    assert_eq!((open(&bed).await, inbox(&bed).await), (0, 2000));
}

#[tokio::test]
async fn a_run_has_one_driver_and_who_is_replaced_lets_go() {
    let bed = Bed::new().await;
    let (one, other) = (operator(bed.store.clone()), operator(bed.replica()));
    many(&bed, 60).await;
    let run = one.create_mine(Order { rate: 20, ..all(Action::Replay) }, "ops").await.unwrap();
    let stop = Stop::default();
    assert_eq!(other.drive(&run.id, &stop).await.unwrap(), Drove::Elsewhere);
    let [_, lease, _] = bed.store.keys().run(&run.id);
    assert!((1..=15_000).contains(&bed.life(&lease).await));
    let replacing = async {
        while shown(&bed, &run).await.run.counts.replayed == 0 {
            tokio::task::yield_now().await;
        }
        bed.ask::<i64>(&["DEL", &lease]).await;
        other.drive(&run.id, &stop).await.unwrap()
    };
    let (first, second) = join!(one.drive(&run.id, &stop), replacing);
    assert_eq!((first.unwrap(), second), (Drove::Elsewhere, Drove::Ended));
    assert_eq!(shown(&bed, &run).await.run.counts.matched, 60);
    assert_eq!(inbox(&bed).await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_drives_what_nobody_drives_and_gives_it_back_when_it_stops() {
    let bed = Bed::new().await;
    many(&bed, 200).await;
    let (first, second) = (Lifecycle::new(), Lifecycle::new());
    let runs = operator(bed.store.clone());
    first.spawn("runs", omni_relay::pipeline::runs::run(runs.clone(), first.clone()));
    let run = runs.create(Order { rate: 50, ..all(Action::Discard) }, "ops").await.unwrap();
    while shown(&bed, &run).await.run.counts.discarded == 0 {
        tokio::task::yield_now().await;
    }
    let _ = first.stop(Duration::from_secs(5)).await;
    let [_, lease, _] = bed.store.keys().run(&run.id);
    assert_eq!(bed.life(&lease).await, -2, "nobody can go on for a while");
    assert_eq!(shown(&bed, &run).await.run.state, RunState::Running);
    second.spawn("runs", omni_relay::pipeline::runs::run(operator(bed.replica()), second.clone()));
    while shown(&bed, &run).await.run.state == RunState::Running {
        tokio::task::yield_now().await;
    }
    assert_eq!(shown(&bed, &run).await.run.counts.discarded, 200);
    let _ = second.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_who_decide_differently_at_once_share_the_letters() {
    let bed = Bed::new().await;
    many(&bed, 600).await;
    let (one, other) = (operator(bed.store.clone()), operator(bed.replica()));
    let (kept, gone) = join!(driven(&one, &bed, all(Action::Replay)), driven(&other, &bed, all(Action::Discard)));
    let (kept, gone) = (kept.run.counts, gone.run.counts);
    assert_eq!((kept.replayed + gone.discarded, open(&bed).await), (600, 0), "{kept:?} {gone:?}");
    assert_eq!((kept.matched, gone.matched), (kept.replayed + kept.already, gone.discarded + gone.already));
    assert_eq!(inbox(&bed).await as u64, kept.replayed);
    assert_eq!(audit(&bed).await.len(), 602);
}

#[tokio::test]
async fn what_dies_while_it_runs_is_not_taken_again() {
    let bed = Bed::new().await;
    let runs = operator(bed.store.clone());
    many(&bed, 3).await;
    put(&bed, "later", 61_000, "poison").await;
    let whole = driven(&runs, &bed, all(Action::Replay)).await;
    assert_eq!((whole.run.counts.matched, open(&bed).await), (3, 1));
    let far = Timestamp::from_millisecond(i64::try_from(NOW + 90_000).unwrap()).ok();
    let filter = LetterFilter { until: far, ..LetterFilter::default() };
    let whole = driven(&runs, &bed, Order { filter, ..all(Action::Replay) }).await;
    assert_eq!((whole.run.counts.matched, open(&bed).await), (0, 1), "a later end is believed");
}

/// A letter that is what the run is about no more when its turn comes.
#[tokio::test]
async fn a_letter_that_died_of_something_else_meanwhile_stays() {
    let bed = Bed::new().await;
    let runs = operator(bed.store.clone());
    many(&bed, 30).await;
    let run = runs.create(Order { rate: 10, ..all(Action::Discard) }, "ops").await.unwrap();
    let dying = async {
        while shown(&bed, &run).await.run.counts.discarded == 0 {
            tokio::task::yield_now().await;
        }
        put(&bed, "l-00029", 70_000, "poison").await;
    };
    let stop = Stop::default();
    let (drove, ()) = join!(runs.drive(&run.id, &stop), dying);
    assert_eq!(drove.unwrap(), Drove::Ended);
    let counts = shown(&bed, &run).await.run.counts;
    assert_eq!((counts.matched, counts.discarded, counts.already, open(&bed).await), (30, 29, 1, 1));
}

#[tokio::test]
async fn prompts_of_one_conversation_are_asked_in_the_order_of_their_acceptance() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let runs = operator(bed.store.clone());
    let mut ids = Vec::new();
    for n in 0..3 {
        let id = bed.accept("acme/c").await;
        // Who was asked last died first.
        bury(&bed, &next(&mut submit).await, id, NOW + 10 - n).await;
        ids.push(id);
    }
    ids.sort_unstable();
    let whole = driven(&runs, &bed, all(Action::Replay)).await;
    assert_eq!(whole.run.counts.replayed, 3);
    assert_eq!(bed.slot("acme/c", "active").await, Some(ids[0].to_string()));
    assert_eq!(bed.line("acme/c").await, [ids[1].to_string(), ids[2].to_string()]);
    assert_eq!(bed.phase(ids[2]).await, Phase::Waiting);
}

#[tokio::test]
async fn a_rate_is_kept() {
    let bed = Bed::new().await;
    let runs = operator(bed.store.clone());
    many(&bed, 30).await;
    let began = Instant::now();
    driven(&runs, &bed, Order { rate: 10, ..all(Action::Replay) }).await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn runs_are_listed_by_whose_letters_they_are_about() {
    let bed = Bed::new().await;
    let runs = operator(bed.store.clone());
    let acme = Tenant::new(Some("acme"));
    let mut ids = Vec::new();
    for n in 0..7 {
        let tenant = (n % 2 == 0).then(|| acme.clone());
        let filter = LetterFilter { tenant, ..LetterFilter::default() };
        ids.push(runs.create(Order { filter, ..all(Action::Replay) }, "ops").await.unwrap().id);
    }
    let mut listed = Vec::new();
    let mut next = None;
    loop {
        let page = bed.store.runs(None, next, 3).await.unwrap();
        listed.extend(page.items.into_iter().map(|run| run.id));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    listed.sort_unstable();
    ids.sort_unstable();
    assert_eq!(listed, ids);
    let of = bed.store.runs(Some(&acme), None, 100).await.unwrap().items;
    assert_eq!(of.len(), 4);
    let [groups, lease, run] = bed.store.keys().run(&ids[0]);
    let quarter = 90 * super::bed::DAY.cast_signed();
    assert!((quarter - 60_000..=quarter).contains(&bed.life(&run).await));
    assert_eq!((bed.life(&groups).await, bed.life(&lease).await), (-2, -2));
}

/// How long bulk work takes, and what a letter costs. Prints figures.
#[tokio::test]
#[ignore = "measures"]
async fn a_hundred_thousand_letters() {
    const MANY: u32 = 100_000;
    let bed = Bed::new().await;
    let runs = operator(bed.store.clone());
    let used = async || -> u64 {
        let info: String = bed.ask(&["INFO", "memory"]).await;
        info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
    };
    let before = used().await;
    many(&bed, MANY.into()).await;
    println!("memory per letter: {} bytes", (used().await - before) / u64::from(MANY));

    let filter = LetterFilter { reason: Some("malformed".to_owned()), ..LetterFilter::default() };
    let began = Instant::now();
    assert_eq!(bed.store.letters(&filter, None, 200).await.unwrap().items.len(), 200);
    println!("a page of 200 by filter: {:?}", began.elapsed());

    let began = Instant::now();
    let run = driven(&runs, &bed, Order { dry_run: true, ..all(Action::Replay) }).await;
    assert_eq!(run.run.counts.matched, u64::from(MANY));
    println!("a dry run: {:?}", began.elapsed());

    let began = Instant::now();
    let run = driven(&runs, &bed, all(Action::Replay)).await;
    assert_eq!(run.run.counts.replayed, u64::from(MANY));
    let took = began.elapsed();
    println!("replayed in {took:?}: {:.0} a second", f64::from(MANY) / took.as_secs_f64());
}
