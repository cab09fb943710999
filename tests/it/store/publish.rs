//! publish: an entry becomes visible once, and its readers wake.

use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::EntryType;
use omni_relay::runtime::Lifecycle;
use omni_relay::store::wake::Wake;
use tokio::time::{Instant, timeout};

use super::bed::{Bed, DAY, entry, named, new_id};

/// Longest wait for a wake-up.
const LOOK: Duration = Duration::from_secs(5);

const TERMINAL: [EntryType; 4] = [EntryType::Answer, EntryType::Failed, EntryType::Cancelled, EntryType::Expired];

#[tokio::test]
async fn a_prompt_ends_once_whatever_it_ends_with() {
    let bed = Bed::new().await;
    let id = new_id();
    let replicas: Vec<_> = (0..4).map(|_| bed.replica()).collect();
    let entries: Vec<_> = TERMINAL.map(|kind| entry(id, "c", kind)).into();
    let outcomes = join_all((0..40).map(|n| replicas[n % 4].publish(id, &entries[n / 4 % 4], None))).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let winner = outcomes.iter().find(|one| one.new).expect("one is published").clone();
    assert_eq!(outcomes.iter().filter(|one| one.new).count(), 1);
    assert!(
        outcomes.iter().all(|one| (one.kind, &one.entry) == (winner.kind, &winner.entry)),
        "settle records what stands"
    );
    let stored = bed.store.entries(&named("c"), "0", 100).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].id.as_str(), stored[0].kind.as_str()), (winner.entry.as_str(), winner.kind.as_str()));
    assert_eq!(bed.store.terminal_entry(&named("c"), id).await.unwrap(), Some((winner.kind, winner.entry)));
    // The next prompt of the conversation has an end of its own.
    assert!(bed.publish(new_id(), "c", EntryType::Answer).await.new);
}

#[tokio::test]
async fn entries_of_a_prompt_stand_in_phase_order() {
    use EntryType::{Accepted, Answer, Delayed, Failed, Submitted};
    let bed = Bed::new().await;
    for (written, expected) in [
        (vec![Accepted, Submitted, Delayed, Answer], vec![true, true, true, true]),
        (vec![Submitted, Accepted, Submitted, Answer], vec![true, false, false, true]),
        (vec![Delayed, Submitted, Delayed, Failed, Delayed, Answer], vec![true, false, false, true, false, false]),
    ] {
        let id = new_id();
        let mut done = Vec::new();
        for kind in &written {
            done.push(bed.publish(id, "c", *kind).await.new);
        }
        assert_eq!(done, expected, "{written:?}");
    }
    let id = new_id();
    bed.publish(id, "c", Delayed).await;
    assert_eq!(bed.store.terminal_entry(&named("c"), id).await.unwrap(), None, "a delay is no end");
}

#[tokio::test]
async fn an_entry_is_its_cloud_event_attribute_by_attribute() {
    let bed = Bed::new().await;
    let (id, conversation) = (new_id(), "acme/c");
    let written = entry(id, conversation, EntryType::Answer);
    let published = bed.store.publish(id, &written, None).await.unwrap();
    let key = bed.store.keys().conversation(&named(conversation));
    let raw: Vec<(String, Vec<String>)> = bed.ask(&["XRANGE", &key, "-", "+"]).await;
    let flat: Vec<String> = written.fields().into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    assert_eq!(raw, [(published.entry.clone(), flat)]);
    let stored = bed.store.entry(&named(conversation), &published.entry).await.unwrap().unwrap();
    let event: serde_json::Value = serde_json::from_str(stored.event.get()).unwrap();
    assert_eq!(event["data"]["promptId"], id.to_string());
    assert_eq!(bed.store.bounds(&named(conversation)).await.unwrap(), Some((published.entry.clone(), published.entry)));
}

#[tokio::test]
async fn streams_marks_and_payloads_end_with_their_retention() {
    let bed = Bed::new().await;
    let (id, conversation) = (new_id(), named("c"));
    bed.store.publish(id, &entry(id, "c", EntryType::Answer), Some("all of it")).await.unwrap();
    let keys = bed.store.keys();
    let whole = i64::try_from(14 * DAY).unwrap();
    for key in [keys.conversation(&conversation), keys.done(&conversation, id), keys.payload(&conversation, id)] {
        let life = bed.life(&key).await;
        assert!((whole - 60_000..=whole).contains(&life), "{key} lives {life} ms");
    }
    let payload: String = bed.ask(&["GET", &keys.payload(&conversation, id)]).await;
    assert_eq!(payload, "all of it");
    // A refused entry leaves the payload of the one that stands.
    bed.store.publish(id, &entry(id, "c", EntryType::Failed), Some("other")).await.unwrap();
    let payload: String = bed.ask(&["GET", &keys.payload(&conversation, id)]).await;
    assert_eq!(payload, "all of it");
}

#[tokio::test]
async fn a_stream_forgets_what_is_too_old_and_never_what_is_not() {
    let bed = Bed::new().await;
    let key = bed.store.keys().conversation(&named("c"));
    let (seconds, _): (u64, u64) = bed.ask(&["TIME"]).await;
    let old = seconds * 1000 - 15 * DAY;
    for n in 0..250 {
        bed.ask::<String>(&["XADD", &key, &format!("{old}-{n}"), "type", "omni.answer", "data", "{}"]).await;
    }
    let kept = format!("{}-0", seconds * 1000 - 13 * DAY);
    bed.ask::<String>(&["XADD", &key, &kept, "type", "omni.answer", "data", "{}"]).await;
    let published = bed.publish(new_id(), "c", EntryType::Answer).await;
    let ids: Vec<String> =
        bed.store.entries(&named("c"), "0", 1000).await.unwrap().into_iter().map(|one| one.id).collect();
    assert!(ids.len() <= 102, "{} entries are kept: whole nodes of old ones should be gone", ids.len());
    assert!(ids.ends_with(&[kept, published.entry]), "something recent was trimmed");
}

#[tokio::test]
async fn readers_of_the_conversation_wake_and_no_others() {
    let bed = Bed::new().await;
    let wake = Wake::default();
    let (mine, other) = (wake.watch(&named("c")), wake.watch(&named("d")));
    let (changed, unchanged) = (mine.changed(LOOK), other.changed(LOOK));
    let story = async {
        wait_for_listeners(&bed, 1).await;
        // Standing up, the subscription wakes everybody: whoever looked before it stood may have missed something.
        timeout(Duration::from_secs(2), async { tokio::join!(changed, unchanged) })
            .await
            .expect("woken once it stands");
        let (changed, unchanged) = (mine.changed(LOOK), other.changed(LOOK));
        bed.publish(new_id(), "c", EntryType::Accepted).await;
        timeout(Duration::from_secs(2), changed).await.expect("woken by the entry");
        assert!(timeout(Duration::from_millis(100), unchanged).await.is_err(), "woken by another's entry");
    };
    tokio::select! {
        ended = wake.listen(&bed.store, LOOK) => panic!("the subscription ended: {ended:?}"),
        () = story => {}
    }
    drop(mine);
}

/// The subscription's end is told, and standing up again it wakes everybody: what came in between is not missed.
#[tokio::test]
async fn a_subscription_that_breaks_is_noticed() {
    let server = crate::redis::TestRedis::private().await;
    let redis = omni_relay::store::connection::Redis::new(&server.url()).unwrap();
    let store = omni_relay::store::Store::new(redis, "relay", super::bed::policy());
    let (wake, conversation) = (Wake::default(), named("c"));
    let watch = wake.watch(&conversation);
    let (id, limit) = (new_id(), Duration::from_secs(5));
    let woken = watch.changed(LOOK);
    let breaks = async {
        woken.await;
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("pubsub");
        store.redis().query::<usize>(&kill).await.unwrap()
    };
    let (ended, killed) =
        timeout(limit, async { tokio::join!(wake.listen(&store, LOOK), breaks) }).await.expect("it ends");
    assert!(ended.unwrap_err().passes() && killed == 1);
    store.publish(id, &entry(id, "c", EntryType::Accepted), None).await.unwrap();
    let before = Instant::now();
    tokio::select! {
        _ = wake.listen(&store, LOOK) => panic!("it does not stand again"),
        woken = watch.changed(LOOK) => assert!(woken),
    }
    assert!(before.elapsed() < Duration::from_secs(3), "woken by the clock and not by the subscription");
}

/// While nobody reads there is no subscription, which every entry would be told to. One that nobody needs any more ends.
#[tokio::test]
async fn a_process_listens_while_somebody_reads() {
    let bed = Bed::new().await;
    let (wake, lifecycle) = (Wake::default(), Lifecycle::new());
    lifecycle.spawn("wake", wake.clone().run(bed.store.clone(), lifecycle.stop_handle()));
    // Many times what a subscription takes.
    for _ in 0..100 {
        assert_eq!(listeners(&bed).await, 0, "nobody reads");
    }
    let watch = wake.watch(&named("c"));
    assert!(watch.changed(LOOK).await, "woken once it stands");
    let changed = watch.changed(LOOK);
    bed.publish(new_id(), "c", EntryType::Accepted).await;
    assert!(changed.await, "woken by the entry");
    let _ = lifecycle.stop(Duration::from_secs(1)).await;
    let quiet = Duration::from_millis(50);
    assert!(timeout(4 * quiet, wake.listen(&bed.store, quiet)).await.is_err(), "somebody reads");
    drop(watch);
    timeout(LOOK, wake.listen(&bed.store, quiet)).await.expect("it ends by itself").unwrap();
}

/// A wake-up that got lost costs a reader as long as it would wait at most.
#[tokio::test]
async fn a_lost_wake_up_delays_and_does_not_lose() {
    let watch = Wake::default().watch(&named("c"));
    assert!(!timeout(LOOK, watch.changed(Duration::from_millis(20))).await.expect("the wait ends by itself"));
}

async fn listeners(bed: &Bed) -> usize {
    let (_, listeners): (String, usize) = bed.ask(&["PUBSUB", "NUMSUB", &bed.store.keys().wake]).await;
    listeners
}

async fn wait_for_listeners(bed: &Bed, wanted: usize) {
    let give_up = Instant::now() + Duration::from_secs(5);
    loop {
        if listeners(bed).await == wanted {
            return;
        }
        assert!(Instant::now() < give_up, "nobody listens");
        tokio::task::yield_now().await;
    }
}
