//! A delivery that a failover or a lost group made nobody's: its handler leaves it alone, as the same consumer may have been
//! handed it again meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use omni_relay::config::UserCreation;
use omni_relay::model::{Envelope, Event, Phase, Submit};
use omni_relay::omni::{ApiKey, Omni, OmniOptions};
use omni_relay::pipeline::reconcile::{Pace, Tuning};
use omni_relay::pipeline::stage::{Disposition, Stage};
use omni_relay::pipeline::{Directory, KeyRing, Process, Submitter, Switch};
use omni_relay::runtime::{Clock, Lifecycle, Readiness};
use omni_relay::store::budget::Quota;
use omni_relay::store::delivery::Stream;
use omni_relay::store::streams::Consumer;

use serde_json::json;
use uuid::Uuid;

use super::bed::{Bed, body, new_id, next, webhook};

/// The group is made anew, from the beginning: what was read is nobody's.
async fn lose_group(bed: &Bed, stream: Stream) {
    let key = stream.key(bed.store.keys()).to_owned();
    let gone: i64 = bed.ask(&["XGROUP", "DESTROY", &key, "relay"]).await;
    assert_eq!(gone, 1);
    Consumer::new(bed.store.clone(), stream, "anybody").make_group().await.unwrap();
}

fn stages(bed: &Bed) -> (Submitter, Process) {
    let base_url = "http://127.0.0.1:9".parse().unwrap();
    let options = OmniOptions { base_url, timeout: Duration::from_secs(1), result_max_bytes: 1 };
    let omni = Arc::new(Omni::new(options).unwrap());
    let quota = Quota { limit: 100, window: Duration::from_mins(1), owed: 1 };
    let key = ApiKey::new(&"key".into()).unwrap();
    let keys = KeyRing::new(bed.store.clone(), vec![key], quota, Readiness::new().register("omni"));
    let keys = Arc::new(keys.unwrap());
    let minute = Duration::from_mins(1);
    let submitter = Submitter {
        store: bed.store.clone(),
        omni: omni.clone(),
        keys: keys.clone(),
        directory: Directory::new(bed.store.clone(), omni.clone(), keys.clone(), UserCreation::Never),
        clock: Clock::system(),
        webhook: None,
        pace: Pace { after: None, deadline: minute, max_wait: minute, tuning: Tuning::default() },
        weight: Box::new(|_| 1),
        switch: Switch::new(Readiness::new().register("operator")),
        short: Mutex::default(),
        stop: Lifecycle::new().stop_handle(),
    };
    let (store, clock) = (bed.store.clone(), Clock::system());
    let stop = Lifecycle::new().stop_handle();
    let process = Process { store, omni, keys, clock, inline_max: 1, patience: (1, Duration::ZERO), stop };
    (submitter, process)
}

#[tokio::test]
async fn what_is_nobodys_is_left_to_whoever_is_handed_it_next() {
    let bed = Bed::new().await;
    let (submitter, process) = stages(&bed);
    let mut prompts = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "p").await;
    let id = new_id();
    // A user who is not looked up.
    let asked = body(&json!({"user": {"userId": Uuid::new_v4()}}));
    bed.try_accept(id, "thread", &asked).await;

    let first = next(&mut prompts).await;
    lose_group(&bed, Stream::Prompts).await;
    let envelope: Envelope<Submit> = submitter.read(&first).unwrap();
    let decided = submitter.handle(&first, &envelope).await.unwrap();
    assert!(matches!(decided, Disposition::Lost), "{decided:?}: settling that would end what comes next");
    assert_eq!(bed.phase(id).await, Phase::Queued);
    assert_eq!(next(&mut prompts).await.id(), first.id(), "the same entry again, to the same consumer");

    let told = omni_relay::model::Webhook { prompt_id: Some(id), ..webhook(Uuid::new_v4()) };
    bed.store.receive(told).await.unwrap();
    let first = next(&mut inbox).await;
    lose_group(&bed, Stream::Inbox).await;
    let envelope: Envelope<Event> = process.read(&first).unwrap();
    let decided = process.handle(&first, &envelope).await.unwrap();
    assert!(matches!(decided, Disposition::Lost), "{decided:?}: settling that would end what comes next");
    assert_eq!(bed.phase(id).await, Phase::Queued);
}
