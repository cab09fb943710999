//! Who asks for progress is told how far the job is, while it runs.

use std::time::Duration;

use omni_relay::pipeline::reconcile::Tuning;
use omni_relay::simulator::{Behaviour, Fault, FaultKind, JobState};
use serde_json::{Value, json};

use crate::redis::TestRedis;
use crate::world::{Asked, Setting, World, eventually, text};

async fn ask(world: &World, progress: bool) -> Asked {
    world.ask_with(json!({"prompt": "revenue by region", "progress": progress, "metadata": {"a": 1}})).await
}

/// What readers of the conversation were told, and the data of what was told on the way.
async fn told(world: &World, asked: &Asked) -> (Vec<String>, Vec<Value>) {
    let entries = world.entries(&asked.conversation).await;
    let types = entries.iter().map(|entry| text(entry, "type")).collect();
    let progress = entries.into_iter().filter(|entry| entry["type"] == "omni.job.progress");
    (types, progress.map(|mut entry| entry["data"].take()).collect())
}

/// Waits until something was told on the way.
async fn progressed(world: &World, asked: &Asked) -> Value {
    eventually("readers are told how far it is", async || told(world, asked).await.1.pop()).await
}

/// A report on the way about a prompt's job, signed.
async fn report(world: &World, asked: &Asked, progress: Value) -> u16 {
    let body = json!({"event": "job.progress", "jobId": world.record(&asked.id).await.get("jobId"), "status": "EXECUTING",
                      "metadata": {"promptId": asked.id, "conversation": asked.conversation}, "progress": progress});
    world.webhook(body.to_string().as_bytes()).await.status().as_u16()
}

async fn unhandled(world: &World) -> usize {
    world.redis(redis::cmd("XLEN").arg(format!("{{{}}}:unhandled", world.namespace))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_on_the_way_are_told_in_order_and_only_to_those_who_asked() {
    let world = World::new().await;
    world.sim.set_default(Behaviour::new().slow(Duration::from_millis(800)));
    let (curious, patient) = (ask(&world, true).await, ask(&world, false).await);
    world.eventually_answered(&curious).await;
    world.eventually_answered(&patient).await;
    let (_, progress) = told(&world, &curious).await;
    assert!(progress.len() >= 2, "{progress:?}");
    let job = world.record(&curious.id).await["jobId"].clone();
    for data in &progress {
        let said = data["progress"].as_object().unwrap();
        assert_eq!(said.keys().collect::<Vec<_>>(), ["iteration", "message", "updatedAt"]);
        assert!(said["message"].as_str().is_some_and(|message| !message.is_empty()));
        said["updatedAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert_eq!((&data["jobId"], &data["metadata"]), (&json!(job), &json!({"a": 1})));
        assert!(data["conversationId"].is_string() && data["omniChatUrl"].is_string(), "{data}");
    }
    assert!(told(&world, &patient).await.1.is_empty());
    assert_eq!(world.answers().await.len(), 2, "it is for the conversation alone");
    assert_eq!(unhandled(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_tell_where_no_webhook_does() {
    let tuning = Tuning { poll: (Duration::from_millis(150), Duration::from_millis(50)), ..Tuning::default() };
    let setting = Setting::config(|sources| sources.with("webhook.public_url", ""));
    let world = World::with(Setting { tuning, ..setting }).await;
    world.sim.set_default(Behaviour::new().slow(Duration::from_secs(2)));
    let (curious, patient) = (ask(&world, true).await, ask(&world, false).await);
    world.eventually_answered(&curious).await;
    world.eventually_answered(&patient).await;
    let (types, progress) = told(&world, &curious).await;
    assert!(progress.len() >= 2 && types.last().is_some_and(|kind| kind == "omni.answer"), "{types:?}");
    assert!(told(&world, &patient).await.1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_late_repeated_or_odd_is_not_told() {
    let world = World::new().await;
    // Told by nobody but the test.
    world.sim.set_default(Behaviour::new().held_in(JobState::Queued));
    let (curious, patient) = (ask(&world, true).await, ask(&world, false).await);
    for asked in [&curious, &patient] {
        world.eventually_in(asked, "submitted").await;
    }
    for iteration in [2, 2, 1, 4] {
        assert_eq!(report(&world, &curious, json!({"iteration": iteration, "message": "m"})).await, 200);
        assert_eq!(report(&world, &patient, json!({"iteration": iteration, "message": "m"})).await, 200);
    }
    // Final or not, whatever its status says: it ends nothing.
    let long = "é".repeat(5000);
    let body = json!({"type": "progress", "metadata": {"promptId": curious.id, "conversation": curious.conversation},
                      "status": "COMPLETE", "iteration": "7", "message": long});
    assert_eq!(world.webhook(body.to_string().as_bytes()).await.status(), 200);
    assert_eq!(unhandled(&world).await, 0);
    // Without a number nobody knows whether it was told before; and this one is about no prompt of ours.
    assert_eq!(report(&world, &curious, json!({"message": "m"})).await, 200);
    let stranger = json!({"jobId": uuid::Uuid::new_v4(), "state": "EXECUTING", "progress": {"iteration": 1}});
    assert_eq!(world.webhook(stranger.to_string().as_bytes()).await.status(), 200);
    assert_eq!(unhandled(&world).await, 2);
    // Another job's, under this prompt's name.
    let other = json!({"jobId": uuid::Uuid::new_v4(), "progress": {"iteration": 9},
                       "metadata": {"promptId": curious.id, "conversation": curious.conversation}});
    assert_eq!(world.webhook(other.to_string().as_bytes()).await.status(), 200);

    let (_, progress) = told(&world, &curious).await;
    let iterations: Vec<&Value> = progress.iter().map(|data| &data["progress"]["iteration"]).collect();
    assert_eq!(iterations, [2, 4, 7]);
    assert_eq!(progress[2]["progress"], json!({"iteration": 7, "message": "é".repeat(2048)}));
    for job in world.sim.jobs() {
        world.sim.release(job.id);
    }
    world.eventually_answered(&curious).await;
    assert_eq!(report(&world, &curious, json!({"iteration": 11})).await, 200);
    world.eventually_in(&curious, "answered").await;
    assert_eq!(report(&world, &curious, json!({"iteration": 12})).await, 200);
    world.eventually_answered(&patient).await;
    assert!(told(&world, &patient).await.1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_overtakes_the_201_is_told_and_the_job_is_not_announced_behind_it() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().held().lost(503));
    let asked = ask(&world, true).await;
    progressed(&world, &asked).await;
    assert_eq!(world.phase(&asked.id).await.as_deref(), Some("sending"), "recorded by now");
    let job = world.sim.jobs()[0].id;
    assert_eq!(told(&world, &asked).await.1[0]["jobId"], json!(job));
    world.sim.release(job);
    world.eventually_answered(&asked).await;
    let (types, _) = told(&world, &asked).await;
    assert!(!types.contains(&"omni.job.submitted".to_owned()), "{types:?}");
}

/// P2: what Redis does not hold is not acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_acknowledged_once_redis_holds_it() {
    let mut server = TestRedis::private().await;
    let world = World::with(Setting::on(server.url())).await;
    world.sim.next_job(Behaviour::new().held_in(JobState::Queued));
    let asked = ask(&world, true).await;
    world.eventually_in(&asked, "submitted").await;
    let body = json!({"jobId": world.sim.jobs()[0].id, "progress": {"iteration": 1, "message": "m"},
                      "metadata": {"promptId": asked.id, "conversation": asked.conversation}});
    let body = body.to_string().into_bytes();
    // The prompt can be read, nothing can be written.
    let mut refuse = redis::cmd("CONFIG");
    let _: String = world.redis(refuse.arg("SET").arg("min-replicas-to-write").arg(1)).await;
    assert_eq!(world.webhook(&body).await.status(), 503);
    server.stop().await;
    assert_eq!(world.webhook(&body).await.status(), 503);
    server.start_again().await;
    eventually("it is taken again", async || (world.webhook(&body).await.status() == 200).then_some(())).await;
    assert_eq!(told(&world, &asked).await.1.len(), 1);
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(1));
    world.sim.release(world.sim.jobs()[0].id);
    world.eventually_answered(&asked).await;
}
