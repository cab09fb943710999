//! `durability.replicas`: what was acknowledged is on as many replicas, or it was not acknowledged.

use std::time::Duration;

use omni_relay::model::{EntryType, Phase};
use omni_relay::simulator::{Behaviour, User};
use omni_relay::store::accept::{Accepted, Intake};
use omni_relay::store::connection::Redis;
use omni_relay::store::delivery::Stream;
use omni_relay::store::inbox::Received;
use omni_relay::store::streams::Consumer;
use omni_relay::store::submit::{Send, Sender};
use omni_relay::store::{Store, StoreError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::bed::{NOW, accept, body, entry, named as named_conversation, new_id, next, policy, webhook};
use super::forms::{Round, alone, round, world};
use crate::redis::{Cluster, Trio};
use crate::world::{World, eventually};

/// For how long prompts are asked while nothing reaches the replicas.
const CUT: Duration = Duration::from_millis(400);
/// Of each kind, when they are measured.
const ROUNDS: usize = 3;

async fn ready(world: &World, status: u16) {
    eventually("readiness follows", async || (world.get("/readyz").await.status() == status).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_too_few_replicas_hold_is_not_acknowledged_and_not_sent() {
    let _alone = alone().await;
    let trio = Trio::start().await;
    let world = world(trio.url(), 1).await;
    world.sim.next_job(Behaviour::new().held().never());
    let asked = world.ask("revenue by region").await;
    world.eventually_in(&asked, "submitted").await;
    let job = world.sim.jobs()[0].id;

    world.sim.release(job);
    trio.pause_replicas().await;
    // A webhook: one that is new, and its repetition.
    let webhook = json!({"jobId": job, "status": "COMPLETE", "eventId": "e-1"}).to_string();
    for _ in 0..2 {
        assert_eq!(world.webhook(webhook.as_bytes()).await.status(), 503);
    }
    let body = json!({"prompt": "revenue by month", "userId": User::new("dana", "Dana").id.to_string(), "idempotencyKey": "k"});
    let refused = world.post(&body).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    ready(&world, 503).await;
    let report: Value = world.get("/readyz").await.json().await.unwrap();
    assert!(report.to_string().contains("too few replicas"), "{report}");
    // Whatever of it stands: no create is sent for it.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.sim.jobs().len(), 1, "sent, and no replica knows");

    trio.resume_replicas();
    ready(&world, 200).await;
    assert_eq!(world.webhook(webhook.as_bytes()).await.status(), 200);
    world.eventually_answered(&asked).await;
    let object: Value = world.post(&body).await.json().await.unwrap();
    let again = crate::world::Asked {
        id: crate::world::text(&object, "promptId"),
        conversation: crate::world::text(&object, "conversation"),
    };
    world.eventually_answered(&again).await;
    assert_eq!(world.sim.jobs().len(), 2);
}

/// What Redis refuses in passing says nothing against a connection, of which each such move has one to itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_is_asked_again_over_the_same_connections() {
    let _alone = alone().await;
    let trio = Trio::start().await;
    let store = Store::new(Redis::new(&trio.url()).unwrap().with_replicas(1), "relay", policy());
    assert!(matches!(accept(&store, new_id(), "c", &body(&json!({})), None).await, Accepted::New(_)));
    let limit = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").clone();
    store.redis().query::<String>(&limit).await.unwrap();
    let connected = async || {
        let info: String = store.redis().query(redis::cmd("INFO").arg("stats")).await.unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap().to_owned();
        line.trim().parse::<usize>().unwrap()
    };
    let before = connected().await;
    for _ in 0..20 {
        let error = store.receive(webhook(Uuid::new_v4())).await.unwrap_err();
        assert!(matches!(error, StoreError::NotReady(_)), "{error:?}");
    }
    // Sentinels may come and go meanwhile.
    assert!(connected().await - before < 10);
}

/// A prompt that was accepted while replicas held it, and is sent while they do not.
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_waits_to_be_sent_until_replicas_hold_that_it_is() {
    let _alone = alone().await;
    let trio = Trio::start().await;
    let world = world(trio.url(), 2).await;
    world.sim.next_job(Behaviour::new().held());
    let first = world.ask_in("thread", "revenue by region").await;
    let second = world.ask_in("thread", "and by month").await;
    world.eventually_in(&first, "submitted").await;
    trio.pause_replicas().await;
    let (status, _) = world.cancel(&first).await;
    assert_eq!(status, 202);
    ready(&world, 503).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.sim.jobs().len(), 1);
    trio.resume_replicas();
    world.eventually_ends(&first).await;
    world.eventually_answered(&second).await;
}

#[tokio::test]
async fn a_mark_to_send_that_too_few_replicas_hold_is_taken_back() {
    let _alone = alone().await;
    let trio = Trio::start().await;
    let namespace = format!("test-{}", Uuid::new_v4().simple());
    let store = |replicas| Store::new(Redis::new(&trio.url()).unwrap().with_replicas(replicas), &namespace, policy());
    let (careless, careful, id) = (store(0), store(1), new_id());
    let mut submit = Consumer::new(careless.clone(), Stream::Prompts, "s");
    submit.make_group().await.unwrap();
    accept(&careless, id, "c", &body(&json!({})), None).await;
    let delivery = next(&mut submit).await;
    let record = careless.record(id).await.unwrap().unwrap();
    trio.pause_replicas().await;
    let sent = careful.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW).await;
    assert!(matches!(sent, Err(StoreError::NotReplicated)), "{sent:?}");
    assert_eq!(careless.record(id).await.unwrap().unwrap().phase, Phase::Queued);
    // Who is at it all the same is not disturbed by those who may not be.
    assert_eq!(
        careless.send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW).await.unwrap(),
        Send::Go(None)
    );
    let sent = store(1).send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW).await;
    assert!(matches!(sent, Err(StoreError::NotReplicated)), "{sent:?}");
    assert_eq!(careless.record(id).await.unwrap().unwrap().phase, Phase::Sending);
    trio.resume_replicas();
    let sent = store(1).send(&delivery, &record, &Sender::default(), ("key", None), NOW, NOW).await.unwrap();
    assert_eq!(sent, Send::Not(Phase::Sending));
}

/// Each of them changes nothing, and speaks of what no replica holds.
#[tokio::test]
async fn a_duplicate_is_acknowledged_only_when_replicas_hold_the_original() {
    let _alone = alone().await;
    let trio = Trio::start().await;
    let namespace = format!("test-{}", Uuid::new_v4().simple());
    let store = |replicas| Store::new(Redis::new(&trio.url()).unwrap().with_replicas(replicas), &namespace, policy());
    let (careless, job, id) = (store(0), Uuid::new_v4(), new_id());
    careless.receive(webhook(job)).await.unwrap();
    trio.pause_replicas().await;
    careless.receive(webhook(job)).await.unwrap();
    careless.publish(id, &entry(id, "c", EntryType::Answer), None).await.unwrap();
    let asked = body(&json!({"idempotencyKey": "k"}));
    accept(&careless, id, "c", &asked, None).await;
    // Each with a store of its own: one that has waited in vain does not ask again for a while.
    let received = store(1).receive(webhook(job)).await;
    assert!(matches!(received, Err(StoreError::NotReplicated)), "{received:?}");
    let published = store(1).publish(id, &entry(id, "c", EntryType::Failed), None).await;
    assert!(matches!(published, Err(StoreError::NotReplicated)), "{published:?}");
    let conversation = named_conversation("c");
    let intake = Intake {
        id: new_id(),
        conversation: &conversation,
        body: &asked,
        traceparent: "",
        now: 1,
        first_check: 2,
        may_adopt: false,
    };
    let accepted = store(1).accept(&intake, None).await;
    assert!(matches!(accepted, Err(StoreError::NotReplicated)), "{accepted:?}");
    let with_file = body(&json!({"attachments": [{"data": "aGk=", "mimeType": "image/png"}]}));
    let attached = store(1).attach(new_id(), &with_file.attachments.unwrap()).await;
    assert!(matches!(attached, Err(StoreError::NotReplicated)), "{attached:?}");
    trio.resume_replicas();
    let careful = store(1);
    assert_eq!(careful.receive(webhook(job)).await.unwrap(), Received::Duplicate);
    assert_eq!(careful.accept(&intake, None).await.unwrap(), Accepted::Same(id));
    assert!(!careful.publish(id, &entry(id, "c", EntryType::Failed), None).await.unwrap().new);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// SIGKILL in the middle of the load.
    Kill,
    /// The same after a while in which nothing reached the replicas.
    Cut,
}

async fn sentinel(replicas: u32, failure: Failure) -> Round {
    let mut trio = Trio::start().await;
    trio.lock().await;
    let mut world = world(trio.url(), replicas).await;
    let form = format!("sentinel, {}", named(replicas, failure));
    let round = round(&world, &form, async || {
        if failure == Failure::Cut {
            trio.cut_replicas().await;
            tokio::time::sleep(CUT).await;
        }
        trio.kill_master().await;
        trio.mend_replicas().await;
    })
    .await;
    let _ = world.stop().await;
    round
}

async fn cluster(replicas: u32, failure: Failure) -> Round {
    // The promoted one must have a replica itself.
    let mut cluster = Cluster::start_with(2).await;
    cluster.lock().await;
    let mut world = world(cluster.url(), replicas).await;
    let control = format!("{{{}}}:prompts", world.namespace);
    let form = format!("cluster, {}", named(replicas, failure));
    let round = round(&world, &form, async || {
        if failure == Failure::Cut {
            cluster.cut_replicas().await;
            tokio::time::sleep(CUT).await;
        }
        cluster.kill_master_of(&control).await;
        cluster.mend_replicas().await;
    })
    .await;
    let _ = world.stop().await;
    round
}

fn named(replicas: u32, failure: Failure) -> String {
    let failure = if failure == Failure::Kill { "master killed" } else { "replicas cut off, master killed" };
    format!("{failure}, durability.replicas = {replicas}")
}

fn nothing_is_missing(round: &Round) {
    let missing = (round.lost, round.lost_after, round.ended_twice, round.created_twice);
    assert_eq!(missing, (0, 0, 0, 0), "{round:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinels_nothing_acknowledged_is_lost_though_replicas_were_cut_off_before_the_master_died() {
    let _alone = alone().await;
    nothing_is_missing(&sentinel(1, Failure::Cut).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_nothing_acknowledged_is_lost_though_replicas_were_cut_off_before_the_master_died() {
    let _alone = alone().await;
    nothing_is_missing(&cluster(1, Failure::Cut).await);
}

/// The difference that waiting makes, as a table. Minutes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, for minutes"]
async fn failovers_measured() {
    let mut table = vec![String::from(
        "form | failure | replicas | accepted | in flight | lost | lost after | ended twice | created twice | dead | \
         longest pause | all ended after",
    )];
    let cases = [Failure::Kill, Failure::Cut].into_iter().flat_map(|failure| [(failure, 0), (failure, 1)]);
    for (form, (failure, replicas)) in
        cases.clone().map(|case| ("sentinel", case)).chain(cases.map(|case| ("cluster", case)))
    {
        for _ in 0..ROUNDS {
            let round =
                if form == "sentinel" { sentinel(replicas, failure).await } else { cluster(replicas, failure).await };
            let what = if failure == Failure::Kill { "kill" } else { "cut, kill" };
            let Round { accepted, in_flight, lost, lost_after, ended_twice, created_twice, dead, pause, ended } = round;
            table.push(format!(
                "{form} | {what} | {replicas} | {accepted} | {in_flight} | {lost} | {lost_after} | {ended_twice} | \
                 {created_twice} | {dead} | {pause:.1?} | {ended:.1?}"
            ));
            if replicas > 0 {
                nothing_is_missing(&round);
            }
        }
    }
    println!("{}", table.join("\n"));
}
