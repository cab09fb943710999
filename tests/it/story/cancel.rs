//! Somebody does not want the answer any more.

use omni_relay::simulator::{Behaviour, CancelRace, Fault, FaultKind};
use serde_json::json;
use std::time::Duration;

use crate::world::{World, eventually, text};

/// Neither waits for its time nor is in work.
async fn nothing_is_put_aside(world: &World) {
    eventually("nothing is put aside", async || {
        let due: usize = world.redis(redis::cmd("ZCARD").arg(format!("{{{}}}:due", world.namespace))).await;
        let prompts: usize = world.redis(redis::cmd("XLEN").arg(format!("{{{}}}:prompts", world.namespace))).await;
        (due + prompts == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_cancelled_and_the_line_goes_on_in_order() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().held());
    let mut all = Vec::new();
    for n in 0..4 {
        all.push(world.ask_in("thread", &format!("revenue by region {n}")).await);
    }
    world.eventually_in(&all[0], "submitted").await;
    world.eventually_in(&all[1], "waiting").await;
    let (status, object) = world.cancel(&all[1]).await;
    assert!(status == 202 || status == 200, "{status} {object}");
    let entry = world.eventually_ends(&all[1]).await;
    assert_eq!(entry["type"], "omni.cancelled");
    world.eventually_in(&all[1], "cancelled").await;
    let (status, object) = world.cancel(&all[1]).await;
    assert_eq!(
        (status, &object["entry"]["type"], &object["phase"]),
        (200, &json!("omni.cancelled"), &json!("cancelled"))
    );
    assert_eq!(world.phase(&all[0].id).await.as_deref(), Some("submitted"), "another's cancel touched it");

    world.sim.release(world.sim.jobs()[0].id);
    for n in [0, 2, 3] {
        world.eventually_answered(&all[n]).await;
    }
    let asked: Vec<String> = world.sim.jobs().into_iter().map(|job| job.prompt).collect();
    assert_eq!(asked, ["revenue by region 0", "revenue by region 2", "revenue by region 3"]);
    let (status, object) = world.cancel(&all[3]).await;
    assert_eq!((status, &object["entry"]["type"]), (200, &json!("omni.answer")), "an end is changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_to_wait_for_omni_is_cancelled_at_once_and_hands_the_conversation_on() {
    let world = World::new().await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(409, None)).times(1));
    let first = world.ask_in("thread", "revenue by region").await;
    world.sim.until(|sim| (sim.count("POST", "/jobs") == 1).then_some(())).await;
    world.eventually_in(&first, "queued").await;
    let second = world.ask_in("thread", "revenue by month").await;
    world.cancel(&first).await;
    assert_eq!(world.eventually_ends(&first).await["type"], "omni.cancelled");
    world.eventually_answered(&second).await;
    // What was put aside for the first prompt comes back to nothing.
    world.clock.shift(Duration::from_secs(10));
    nothing_is_put_aside(&world).await;
    let asked: Vec<String> = world.sim.jobs().into_iter().map(|job| job.prompt).collect();
    assert_eq!(asked, ["revenue by month"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_overtakes_the_cancel_wins() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().held().cancel(CancelRace::Overtaken));
    let asked = world.ask_in("thread", "revenue by region").await;
    let next = world.ask_in("thread", "revenue by month").await;
    world.eventually_in(&asked, "submitted").await;
    let (status, object) = world.cancel(&asked).await;
    assert_eq!((status, text(&object, "phase").as_str()), (202, "submitted"), "{object}");
    let due: u64 =
        world.redis(redis::cmd("ZSCORE").arg(format!("{{{}}}:deadlines", world.namespace)).arg(&asked.id)).await;
    assert!(due < world.clock.now_ms() + 60_000, "it is looked at when it would have been anyway");
    world.sim.release(world.sim.jobs()[0].id);
    world.eventually_answered(&asked).await;
    world.eventually_answered(&next).await;
}

/// Cancelled while the create is on its way, which Omni then refuses for now.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_cancelled_while_being_sent_is_not_sent_again() {
    let world = World::new().await;
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(5))).times(1));
    let asked = world.ask("revenue by region").await;
    world.sim.until(|sim| (sim.count("POST", "/jobs") == 1).then_some(())).await;
    world.cancel(&asked).await;
    assert_eq!(world.eventually_ends(&asked).await["type"], "omni.cancelled");
    world.clock.shift(Duration::from_secs(10));
    nothing_is_put_aside(&world).await;
    assert_eq!(world.sim.count("POST", "/jobs"), 1);
}
