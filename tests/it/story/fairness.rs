//! Whose prompts come next when more wait than Omni is asked at once.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use omni_relay::model::{Body, Conversation, Defaults, PromptId};
use omni_relay::simulator::User;
use omni_relay::store::accept::{Accepted, Intake};
use omni_relay::store::backlog::Limit;
use omni_relay::store::connection::Redis;
use omni_relay::store::{Policy, Store};
use serde_json::json;
use tokio::time::Instant;

use crate::redis::TestRedis;
use crate::world::{MODEL, Setting, World, eventually};

const DAY: Duration = Duration::from_hours(24);
/// As many prompts as are submitted at once.
const HANDLERS: usize = 16;

/// Accepts prompts of a tenant, each in a conversation of its own, while the relay is stopped. All wait for a turn.
async fn backlog(world: &World, tenant: &str, count: usize) {
    let limit = Limit { prompts: 1_000_000, bytes: 1 << 40, tenant_share: 100 };
    let policy =
        Policy { retention: 14 * DAY, answers_age: 7 * DAY, answers_len: 1_000_000, window: 0, backlog: limit };
    let store = &Store::new(Redis::new(&world.redis_url).unwrap(), &world.namespace, policy);
    let user = User::new("dana", "Dana").id;
    let now = world.clock.now_ms();
    let accepting = stream::iter(0..count).map(|n| async move {
        let body = json!({"prompt": format!("{tenant} {n}"), "modelId": MODEL, "userId": user});
        let body = Body::parse(body.to_string().as_bytes(), Defaults::default()).unwrap();
        let conversation = Conversation::from_full(&format!("{tenant}/c-{n}")).unwrap();
        let id = PromptId::new(Timestamp::from_millisecond(now.try_into().unwrap()).unwrap());
        let traceparent = "00-00000000000000000000000000000001-0000000000000001-01";
        let first_check = now + 3_600_000;
        let intake =
            Intake { id, conversation: &conversation, body: &body, traceparent, now, first_check, may_adopt: false };
        assert!(matches!(store.accept(&intake, None).await.unwrap(), Accepted::New(_)));
    });
    accepting.buffer_unordered(100).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_prompt_does_not_wait_behind_ten_thousand_of_another_tenant() {
    let redis = TestRedis::private().await;
    let mut world = World::with(Setting::on(redis.url())).await;
    let _ = world.stop().await;
    backlog(&world, "noisy", 10_000).await;
    world.start().await;
    eventually("the backlog is worked at", async || (world.sim.jobs().len() > 100).then_some(())).await;

    let (before, began) = (world.sim.jobs().len(), Instant::now());
    let asked = world.ask("one question").await;
    let accepted = world.sim.jobs().len();
    world.eventually_answered(&asked).await;
    let took = began.elapsed();
    let jobs = world.sim.jobs();
    let own = jobs.iter().find(|job| job.prompt == "one question").unwrap().order;
    let waiting = 10_000 - (jobs.len() - 1);
    println!(
        "fairness: answered after {took:?}; {} jobs of the other tenant went before it ({} since it was accepted), {waiting} still wait",
        own - before,
        own.saturating_sub(accepted)
    );
    assert!(waiting > 5000, "too few were left to say anything: {waiting}");
    // Those in the hands of handlers, those in the stream for the next free ones, and one turn.
    assert!(own <= accepted + 2 * HANDLERS + 1, "{} went before it", own - accepted);
    let _ = world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_omnis_limit_one_prompt_waits_for_one_turn_and_not_for_a_queue() {
    let limit = |sources: omni_relay::config::Sources| sources.with("omni.requests_per_minute", "6");
    let minute = (Duration::from_secs(3), Duration::from_millis(600));
    let mut world = World::with(Setting { requests_per_minute: 6, minute, ..Setting::config(limit) }).await;
    let user = User::new("dana", "Dana").id;
    for n in 0..20 {
        let conversation = format!("c-{n}");
        let body = json!({"prompt": "noisy", "tenant": "noisy", "conversation": conversation, "userId": user});
        world.push(&body.to_string()).await;
    }
    let intake = format!("{{{}}}:intake", world.namespace);
    eventually("all of them are accepted and the budget is used up", async || {
        let left: usize = world.redis(redis::cmd("XLEN").arg(&intake)).await;
        (left == 0 && world.sim.jobs().len() >= 3).then_some(())
    })
    .await;
    let asked = world.ask("one question").await;
    let accepted = world.sim.jobs().len();
    world.eventually_answered(&asked).await;
    let jobs = world.sim.jobs();
    let own = jobs.iter().find(|job| job.prompt == "one question").unwrap().order;
    // One stood in the stream, one had the turn before.
    assert!(own <= accepted + 2, "{} prompts of the other tenant went first", own - accepted);
    let _ = world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_of_weight_three_has_three_turns_for_one() {
    let setting = Setting::config(|sources| {
        sources
            .with("callers.heavy.key", "key-of-heavy-0123456789")
            .with("callers.heavy.tenant", "heavy")
            .with("callers.heavy.weight", "3")
            .with("callers.light.key", "key-of-light-0123456789")
            .with("callers.light.tenant", "light")
    });
    let mut world = World::with(setting).await;
    let _ = world.stop().await;
    backlog(&world, "light", 100).await;
    backlog(&world, "heavy", 100).await;
    world.start().await;
    eventually("all are asked", async || (world.sim.jobs().len() == 200).then_some(())).await;
    let jobs = world.sim.jobs();
    let heavy = jobs.iter().filter(|job| job.order < 80 && job.prompt.starts_with("heavy")).count();
    println!("fairness: of the first 80 jobs {heavy} are those of the tenant with weight 3");
    // 60, and what handlers at work at the same time may swap.
    assert!((56..=64).contains(&heavy), "{heavy} of 80");
}
