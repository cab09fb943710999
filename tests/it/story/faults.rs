//! Omni and Redis have bad days.

use omni_relay::config::Sources;
use omni_relay::pipeline::reconcile::Tuning;
use omni_relay::simulator::{Behaviour, Fault, FaultKind};
use serde_json::{Value, json};
use std::time::Duration;

use crate::redis::{Proxy, TestRedis};
use crate::world::{Setting, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_create_waits_and_counts_no_attempt() {
    // Without being told for how long: a little longer each time.
    let world = World::with(Setting { minute: (Duration::from_secs(1), Duration::ZERO), ..Setting::default() }).await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(0))).times(6));
    let asked = world.ask("revenue by region").await;
    // Six times is more than the four attempts an entry has.
    let answer = world.eventually_answered(&asked).await;
    assert_eq!(answer["type"], "omni.answer");
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_conversation_at_omni_is_waited_for() {
    let world = World::with(Setting::default()).await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(409, None)).times(1));
    let asked = world.ask("revenue by region").await;
    world.eventually_in(&asked, "queued").await;
    world.clock.shift(Duration::from_secs(10));
    world.eventually_answered(&asked).await;
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_outcome_is_unknown_is_not_sent_again() {
    for lost in [Behaviour::new().lost(503), Behaviour::new().dropped()] {
        let world = World::new().await;
        world.sim.next_job(lost.late(Duration::from_millis(300)));
        let asked = world.ask("revenue by region").await;
        // The webhook carries our id: the job is adopted. Until then the record says `sending`.
        world.sim.until(|sim| (!sim.jobs().is_empty()).then_some(())).await;
        eventually("the webhook came", async || world.sim.jobs().first().filter(|job| job.deliveries > 0).map(|_| ()))
            .await;
        world.clock.shift(Duration::from_secs(6));
        let answer = world.eventually_answered(&asked).await;
        assert_eq!(world.sim.count("POST", "/jobs"), 1, "asked, and paid, twice");
        assert!(answer["data"]["conversationId"].is_string());
        let follow_up = world.ask_in(&asked.conversation, "and by month?").await;
        world.eventually_answered(&follow_up).await;
        assert_eq!(world.sim.jobs()[1].conversation_id, world.sim.jobs()[0].conversation_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_ends_the_prompt_with_omnis_words() {
    for status in [400, 402, 403, 404, 422] {
        let world = World::new().await;
        world.sim.next_job(Behaviour::new().refused(status));
        let asked = world.ask("revenue by region").await;
        let entry = world.eventually_ends(&asked).await;
        assert_eq!(entry["type"], "omni.failed", "{status}: {entry}");
        assert!(entry["data"]["error"]["code"].is_string() && entry["data"]["error"]["message"].is_string(), "{entry}");
        assert_eq!(world.sim.count("POST", "/jobs"), 1, "{status} was asked again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_retries_are_a_dead_letter_that_tells_its_readers() {
    let world = World::new().await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(100));
    let asked = world.ask_in("thread", "revenue by region").await;
    world.eventually_in(&asked, "dead").await;
    let letter = world.letter(&asked.id).await;
    assert_eq!((letter["stage"].as_str(), letter["reason"].as_str()), ("process", "retries_exhausted"));
    assert_eq!(letter["attempts"], "4");
    assert_eq!(letter["conversation"], "thread");
    let history: Vec<Value> = serde_json::from_str(&letter["history"]).unwrap();
    assert_eq!(history.len(), 4, "every attempt");
    assert!(history.iter().all(|attempt| attempt["at"].is_u64() && attempt["error"].is_string()));
    let original: Value = serde_json::from_str(&letter["original"]).unwrap();
    let webhook: Value = serde_json::from_str(original["webhook"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(webhook["jobId"], world.sim.jobs()[0].id.to_string(), "the bytes that were signed");

    let delayed = eventually("readers are told", async || {
        world.entries("thread").await.into_iter().find(|entry| entry["type"] == "omni.delayed")
    })
    .await;
    assert_eq!(delayed["data"]["reason"], "retries_exhausted");
    eventually("workers are told", async || {
        world.answers().await.into_iter().find(|entry| entry["type"] == "omni.delayed")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_prompt_frees_its_conversation() {
    let world = World::new().await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(4));
    let dead = world.ask_in("thread", "revenue by region").await;
    let next = world.ask_in("thread", "revenue by month").await;
    world.eventually_in(&dead, "dead").await;
    world.eventually_answered(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_meanwhile_closes_the_letter() {
    let world = World::new().await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(4));
    let asked = world.ask_in("thread", "revenue by region").await;
    world.eventually_in(&asked, "dead").await;
    // The marks of the first delivery are forgotten after three days; until then a copy is a duplicate.
    for key in world.keys().await.into_iter().filter(|key| key.contains(":seen:")) {
        let _: i64 = world.redis(redis::cmd("DEL").arg(key)).await;
    }
    world.sim.resend(world.sim.jobs()[0].id);
    world.eventually_answered(&asked).await;
    world.eventually_in(&asked, "answered").await;
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn omni_that_cannot_be_reached_is_tried_again() {
    let world = World::new().await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::DropBeforeReply(false)).times(2));
    let asked = world.ask("revenue by region").await;
    world.eventually_answered(&asked).await;
    assert!(world.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_goes_away_and_comes_back() {
    let mut redis = TestRedis::private().await;
    let mut world = World::with(Setting::on(redis.url())).await;
    let before = world.ask_in("thread", "revenue by region").await;
    world.eventually_answered(&before).await;
    world.sim.next_job(Behaviour::new().held());
    let held = world.ask_in("thread", "revenue by month").await;
    world.eventually_in(&held, "submitted").await;

    redis.stop().await;
    let refused = world.post(&json!({"prompt": "q", "userId": world.sim.jobs()[0].user_id})).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let webhook =
        world.webhook(br#"{"event_id":"e","jobId":"6f1d1a5e-9a35-4c21-8c0f-6d1d44f1c001","status":"COMPLETE"}"#).await;
    assert_eq!(webhook.status(), 503, "acknowledging from memory");
    eventually("readiness falls", async || (world.get("/readyz").await.status() == 503).then_some(())).await;
    assert_eq!(world.get("/livez").await.status(), 200);
    world.sim.release(held_job(&world));

    redis.start_again().await;
    eventually("readiness is back", async || (world.get("/readyz").await.status() == 200).then_some(())).await;
    world.eventually_answered(&held).await;
    let after = world.ask_in("thread", "revenue by product").await;
    world.eventually_answered(&after).await;
    let _ = world.stop().await;
    world.start().await;
}

/// What Omni answered is in hand while Redis is away, and told when it is back: nobody asks Omni again for it, and nobody has
/// to find out what became of a create.
#[tokio::test(flavor = "multi_thread")]
async fn what_omni_answered_outlives_a_redis_that_is_away() {
    let redis = TestRedis::start().await;
    let way = Proxy::start(redis.url()).await;
    let latency = Duration::from_millis(300);
    let world = World::with(Setting { latency: latency..=latency, ..Setting::on(way.url()) }).await;
    let away_while = async |what: (&'static str, &'static str), before: usize| {
        world.sim.until(|sim| (sim.count(what.0, what.1) == before + 1).then_some(())).await;
        way.cut();
        eventually("readiness falls", async || (world.get("/readyz").await.status() == 503).then_some(())).await;
        way.mend();
        eventually("readiness is back", async || (world.get("/readyz").await.status() == 200).then_some(())).await;
    };

    let result = world.ask("revenue by region").await;
    away_while(("GET", "/result"), 0).await;
    world.eventually_answered(&result).await;
    assert_eq!(world.sim.count("GET", "/result"), 1);

    world.sim.next_job(Behaviour::new().held());
    let created = world.ask("revenue by month").await;
    away_while(("POST", "/jobs"), 1).await;
    world.eventually_in(&created, "submitted").await;
    assert_eq!(world.sim.count("GET", "/conversations"), 0, "its job had to be looked for");
    world.sim.release(held_job(&world));
    world.eventually_answered(&created).await;

    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(1))).times(1));
    let refused = world.ask("revenue by product").await;
    away_while(("POST", "/jobs"), 2).await;
    world.eventually_answered(&refused).await;
    assert_eq!(world.sim.count("POST", "/jobs"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_omni_answered_is_kept_by_a_handler_whose_delivery_was_taken_over() {
    let far = Duration::from_secs(1);
    let adjust = |sources: Sources| sources.with("pipeline.claim_after", "300ms");
    let world = World::with(Setting { latency: far..=far, ..Setting::config(adjust) }).await;
    world.sim.next_job(Behaviour::new().held());
    let asked = world.ask("revenue by region").await;
    world.sim.until(|sim| (sim.count("POST", "/jobs") == 1).then_some(())).await;
    let stream = format!("{{{}}}:prompts", world.namespace);
    let pending: Vec<(String, String, u64, u64)> =
        world.redis(redis::cmd("XPENDING").arg(&stream).arg("relay").arg("-").arg("+").arg(1)).await;
    let taken: Vec<String> = world
        .redis(redis::cmd("XCLAIM").arg(&stream).arg("relay").arg("thief").arg(0).arg(&pending[0].0).arg("JUSTID"))
        .await;
    assert_eq!(taken.len(), 1);
    world.eventually_in(&asked, "submitted").await;
    assert_eq!(world.sim.count("GET", "/conversations"), 0, "its job had to be looked for");
    world.sim.release(held_job(&world));
    world.eventually_answered(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_silent_is_left_and_found_again() {
    let redis = TestRedis::private().await;
    let world = World::with(Setting::on(redis.url())).await;
    let before = world.ask("revenue by region").await;
    world.eventually_answered(&before).await;
    redis.pause();
    let refused =
        world.post(&json!({"prompt": "q", "userId": world.sim.jobs()[0].user_id, "idempotencyKey": "k"})).await;
    assert_eq!(refused.status(), 503);
    eventually("readiness falls", async || (world.get("/readyz").await.status() == 503).then_some(())).await;
    redis.resume();
    eventually("readiness is back", async || (world.get("/readyz").await.status() == 200).then_some(())).await;
    let after = world.ask("revenue by month").await;
    world.eventually_answered(&after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_were_lost_are_made_again_from_the_beginning() {
    let world = World::new().await;
    let before = world.ask("revenue by month").await;
    world.eventually_answered(&before).await;
    eventually("the intake has its group too", async || {
        let key = format!("{{{}}}:intake", world.namespace);
        let there: bool = world.redis(redis::cmd("EXISTS").arg(key)).await;
        there.then_some(())
    })
    .await;
    for stream in ["intake", "prompts", "inbox"] {
        let key = format!("{{{}}}:{stream}", world.namespace);
        let _: i64 = world.redis(redis::cmd("XGROUP").arg("DESTROY").arg(key).arg("relay")).await;
    }
    let asked = world.ask("revenue by region").await;
    world.eventually_answered(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_work_finish_and_a_start_goes_on() {
    let mut world = World::new().await;
    world.sim.next_job(Behaviour::new().held());
    let asked = world.ask("revenue by region").await;
    world.eventually_in(&asked, "submitted").await;
    assert_eq!(world.stop().await, omni_relay::runtime::Outcome::Clean);
    world.sim.release(held_job(&world));
    world.start().await;
    world.eventually_answered(&asked).await;
}

fn held_job(world: &World) -> uuid::Uuid {
    world.sim.jobs().last().expect("a job").id
}

/// A look that is reconnecting keeps everybody else from it: the loop that waits for Redis itself must let it go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_connects_to_redis_is_not_left_alone_with_it() {
    let redis = TestRedis::start().await;
    let way = Proxy::start(redis.url()).await;
    let often = Duration::from_millis(4);
    let lease = Duration::from_millis(500);
    let tuning = Tuning { poll: (often, often), idle: Duration::from_millis(1), lease, ..Tuning::default() };
    let polled = Setting::config(|sources| sources.with("webhook.public_url", ""));
    let world = World::with(Setting { redis: Some(way.url()), tuning, ..polled }).await;
    world.sim.set_default(Behaviour::new().held());
    let mut asked = Vec::new();
    for _ in 0..12 {
        asked.push(world.ask("revenue by region").await);
    }
    for one in &asked {
        world.eventually_in(one, "submitted").await;
    }
    for _ in 0..4 {
        let looks = world.sim.requests().len();
        world.sim.until(|sim| (sim.requests().len() > looks + 12).then_some(())).await;
        way.cut();
        tokio::time::sleep(Duration::from_millis(300)).await;
        way.mend();
        eventually("redis is reached again", async || {
            let look = world.get("/readyz");
            let answer = tokio::time::timeout(Duration::from_secs(1), look).await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        let path = format!("/v1/prompts/{}", asked[0].id);
        let seen = tokio::time::timeout(Duration::from_secs(5), world.get(&path)).await;
        assert_eq!(seen.expect("nobody reaches redis any more").status(), 200);
    }
    world.sim.jobs().iter().for_each(|job| world.sim.release(job.id));
    for one in &asked {
        world.eventually_answered(one).await;
    }
}
