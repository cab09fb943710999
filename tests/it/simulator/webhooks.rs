//! The webhook: what it says, how it is signed, and the ways in which its delivery goes wrong.

use std::collections::HashSet;
use std::time::Duration;

use omni_relay::simulator::{Behaviour, JobState};
use serde_json::json;

use super::bench::{Bench, JOBS};
use crate::openapi;

#[tokio::test]
async fn it_is_signed_and_says_what_omni_says() {
    let mut bench = Bench::start().await;
    let job = bench.create("revenue by region").await;
    let hook = bench.hooks.next().await;
    assert!(hook.is_genuine());
    let body = hook.body();
    openapi::check_webhook(&body);
    let keys: HashSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["event_id", "jobId", "status", "result_summary", "metadata", "completed_at"];
    assert_eq!(keys, HashSet::from(expected));
    assert_eq!(body["jobId"], job.to_string());
    assert_eq!(body["metadata"], bench.order("")["webhookMetadata"]);
    assert!(body["result_summary"].as_str().unwrap().starts_with("### Revenue by region"));
    let event = body["event_id"].as_str().unwrap();
    assert!(event.starts_with("evt_") && event.contains("_COMPLETE_") && !event.contains(&job.to_string()[..8]));
    let view = bench.until(job, |view| view.deliveries == 1).await;
    assert_eq!(view.last_delivery, Some(200));
}

#[tokio::test]
async fn a_job_without_an_address_is_not_told_of() {
    let mut bench = Bench::start().await;
    let mut order = bench.order("revenue by region");
    for key in ["webhookUrl", "webhookSigningSecret", "webhookMetadata"] {
        order.as_object_mut().unwrap().remove(key);
    }
    let silent = bench.send(&order).await;
    bench.until_state(silent, JobState::Complete).await;
    let told = bench.create("revenue by region").await;
    assert_eq!(bench.hooks.next().await.body()["jobId"], told.to_string());
    assert_eq!(bench.view(silent).deliveries, 0);
}

#[tokio::test]
async fn it_is_repeated_until_it_is_accepted() {
    let mut bench = Bench::start().await;
    bench.hooks.reply(&[503, 202, 200]);
    let job = bench.create("revenue by region").await;
    let bodies = [bench.hooks.next().await.body(), bench.hooks.next().await.body(), bench.hooks.next().await.body()];
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(bench.until(job, |view| view.deliveries == 3).await.last_delivery, Some(200));

    bench.hooks.reply(&[500, 500, 500]);
    let given_up = bench.create("revenue by region").await;
    assert_eq!(bench.until(given_up, |view| view.deliveries == 3).await.last_delivery, Some(500));
    bench.sim.resend(given_up);
    assert_eq!(bench.until(given_up, |view| view.deliveries == 4).await.last_delivery, Some(200));
}

#[tokio::test]
async fn copies_come_one_by_one_or_together() {
    let mut bench = Bench::start().await;
    for behaviour in
        [Behaviour::new().twice(), Behaviour::new().at_once(20), Behaviour::new().at_once(5).fresh_event_ids()]
    {
        let (copies, fresh) = (behaviour.webhook.copies, behaviour == Behaviour::new().at_once(5).fresh_event_ids());
        bench.sim.next_job(behaviour);
        let job = bench.create("revenue by region").await;
        let mut events = HashSet::new();
        for _ in 0..copies {
            let hook = bench.hooks.next().await;
            assert!(hook.is_genuine() && hook.body()["jobId"] == job.to_string());
            events.insert(hook.body()["event_id"].to_string());
        }
        assert_eq!(events.len(), if fresh { copies as usize } else { 1 });
        bench.until(job, |view| view.deliveries == copies as usize).await;
        assert!(bench.hooks.is_empty());
    }
}

#[tokio::test]
async fn it_may_never_come_until_it_is_sent_by_hand() {
    let mut bench = Bench::start().await;
    bench.sim.next_job(Behaviour::new().never());
    let silent = bench.create("revenue by region").await;
    bench.until_state(silent, JobState::Complete).await;
    let other = bench.create("revenue by region").await;
    assert_eq!(bench.hooks.next().await.body()["jobId"], other.to_string());
    bench.sim.resend(silent);
    assert_eq!(bench.hooks.next().await.body()["jobId"], silent.to_string());
}

#[tokio::test]
async fn it_may_come_late_or_after_a_later_jobs() {
    let mut bench = Bench::start().await;
    bench.sim.next_job(Behaviour::new().late(Duration::from_secs(1)));
    let late = bench.create("revenue by region").await;
    bench.until_state(late, JobState::Complete).await;
    assert_eq!(bench.view(late).deliveries, 0);
    assert_eq!(bench.hooks.next().await.body()["jobId"], late.to_string());

    bench.sim.next_job(Behaviour::new().reordered());
    let first = bench.create("revenue by region").await;
    bench.until_state(first, JobState::Complete).await;
    let second = bench.create("revenue by region").await;
    assert_eq!(bench.hooks.next().await.body()["jobId"], second.to_string());
    assert_eq!(bench.hooks.next().await.body()["jobId"], first.to_string());
}

#[tokio::test]
async fn it_may_come_before_the_create_is_answered() {
    let mut bench = Bench::start().await;
    bench.sim.next_job(Behaviour::new().before_create_reply());
    let job = bench.create("revenue by region").await;
    assert_eq!(bench.view(job).last_delivery, Some(200));
    assert!(bench.hooks.next().await.is_genuine());
    assert_eq!(bench.get(&format!("{JOBS}/{job}/result")).await.status, 200);
}

#[tokio::test]
async fn a_forged_one_comes_first() {
    let mut bench = Bench::start().await;
    bench.hooks.reply(&[401]);
    bench.sim.next_job(Behaviour::new().forged());
    let job = bench.create("revenue by region").await;
    let forged = bench.hooks.next().await;
    assert!(!forged.is_genuine());
    assert_eq!(forged.body()["status"], "FAILED");
    assert!(bench.hooks.next().await.is_genuine());
    let view = bench.until(job, |view| view.deliveries == 1).await;
    assert_eq!((view.forgery, view.last_delivery), (Some(401), Some(200)));
}

#[tokio::test]
async fn failure_and_denial_are_told() {
    let mut bench = Bench::start().await;
    bench.sim.next_job(Behaviour::new().failed("X", "broken"));
    bench.create("revenue by region").await;
    let failed = bench.hooks.next().await.body();
    openapi::check_webhook(&failed);
    assert_eq!((&failed["status"], failed.get("result_summary"), failed.get("reason")), (&json!("FAILED"), None, None));

    let denied_job = bench.create("[sim:denied] revenue by region").await;
    let denied = bench.hooks.next().await.body();
    openapi::check_webhook(&denied);
    assert_eq!((&denied["event"], &denied["status"]), (&json!("job.denied"), &json!("FAILED")));
    assert!(denied["reason"].as_str().unwrap().contains("credit limit"));
    let status = bench.get(&format!("{JOBS}/{denied_job}")).await.body;
    assert_eq!((&status["state"], status.get("executionStartedAt")), (&json!("FAILED"), None));
}

#[tokio::test]
async fn progress_is_told_when_it_is_wanted() {
    let mut bench = Bench::start().await;
    bench.sim.next_job(Behaviour::new().slow(Duration::from_millis(250)));
    let mut order = bench.order("revenue by region");
    order["progressWebhookEnabled"] = json!(true);
    let job = bench.send(&order).await;
    let mut iterations = Vec::new();
    loop {
        let hook = bench.hooks.next().await;
        assert!(hook.is_genuine());
        let body = hook.body();
        openapi::check_webhook(&body);
        if body["status"] == "COMPLETE" {
            break;
        }
        assert_eq!(body["status"], "EXECUTING");
        iterations.push(body["progress"]["iteration"].as_u64().unwrap());
    }
    assert!(iterations.len() > 1 && iterations.is_sorted(), "{iterations:?}");
    bench.until(job, |view| view.deliveries == 1).await;
}
