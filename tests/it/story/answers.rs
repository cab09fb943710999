//! A prompt is answered, on good days and on odd ones.

use omni_relay::simulator::{Behaviour, Fault, FaultKind};
use serde_json::{Value, json};
use std::time::Duration;

use crate::world::{Setting, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_answered() {
    let world = World::new().await;
    let asked = world.ask_with(json!({"prompt": "top 5 products by revenue", "metadata": {"thread": 7}})).await;
    let answer = world.eventually_answered(&asked).await;

    let job = &world.sim.jobs()[0];
    assert_eq!(answer["specversion"], "1.0");
    assert_eq!(answer["id"], format!("{}:omni.answer", asked.id));
    assert_eq!(answer["source"], format!("/omni-relay/{}", world.namespace));
    assert_eq!(answer["subject"], asked.conversation.as_str());
    let data = &answer["data"];
    assert_eq!(data["jobId"], job.id.to_string());
    assert_eq!(data["conversationId"], job.conversation_id.to_string());
    assert_eq!(data["metadata"], json!({"thread": 7}));
    assert_eq!(data["partial"], false);
    assert!(data["message"].as_str().unwrap().contains("revenue"), "{data}");
    assert_eq!(data["actions"][0]["type"], "generate_query");
    assert!(data["omniChatUrl"].as_str().unwrap().contains(&job.conversation_id.to_string()));

    let types: Vec<Value> = world.entries(&asked.conversation).await.into_iter().map(|e| e["type"].clone()).collect();
    assert_eq!(types, ["omni.prompt.accepted", "omni.job.submitted", "omni.answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_costs_two_requests() {
    let world = World::new().await;
    for n in 0..5 {
        let asked = world.ask(&format!("revenue by region {n}")).await;
        world.eventually_answered(&asked).await;
    }
    let requests = world.sim.requests();
    assert_eq!(requests.len(), 10, "{requests:?}");
    assert_eq!(world.sim.count("POST", "/jobs"), 5);
    assert_eq!(world.sim.count("GET", "/result"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_webhook_are_one_answer() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().at_once(50));
    let asked = world.ask("revenue by month").await;
    world.eventually_answered(&asked).await;
    world.sim.until(|sim| (sim.jobs()[0].deliveries == 50).then_some(())).await;
    world.sim.next_job(Behaviour::new().copies(5).fresh_event_ids());
    let again = world.ask("revenue by month").await;
    world.eventually_answered(&again).await;
    world.sim.until(|sim| (sim.jobs()[1].deliveries == 5).then_some(())).await;
    assert_eq!(world.sim.count("GET", "/result"), 2, "a copy asked Omni again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_may_overtake_the_answer_to_the_create() {
    let world = World::new().await;
    world.sim.set_default(Behaviour::new().before_create_reply());
    for _ in 0..10 {
        let asked = world.ask("revenue by region").await;
        let answer = world.eventually_answered(&asked).await;
        assert!(answer["data"]["conversationId"].is_string(), "a follow-up would not find Omni's conversation");
    }
    assert_eq!(world.sim.count("POST", "/jobs"), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_webhook_changes_nothing() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().forged());
    let asked = world.ask("revenue by region").await;
    world.eventually_answered(&asked).await;
    let job = world.sim.until(|sim| sim.jobs().into_iter().find(|job| job.forgery.is_some())).await;
    assert_eq!(job.forgery, Some(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_and_repeated_webhook_finds_the_prompt_answered() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().late(Duration::from_millis(300)).twice());
    let asked = world.ask("revenue by region").await;
    world.eventually_answered(&asked).await;
    let job = world.sim.jobs()[0].id;
    world.sim.resend(job);
    world.sim.until(|sim| (sim.jobs()[0].deliveries >= 3).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_says_why() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().failed("QUERY_TIMEOUT", "the warehouse did not answer"));
    let asked = world.ask("revenue by region").await;
    let entry = world.eventually_ends(&asked).await;
    assert_eq!(entry["type"], "omni.failed");
    assert_eq!(entry["data"]["error"], json!({"code": "QUERY_TIMEOUT", "message": "the warehouse did not answer"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_job_says_why() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().denied("over the credit limit"));
    let asked = world.ask("revenue by region").await;
    let entry = world.eventually_ends(&asked).await;
    assert_eq!(entry["type"], "omni.failed");
    assert_eq!(entry["data"]["error"]["code"], "denied");
    assert_eq!(entry["data"]["reason"], "over the credit limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_not_there_yet_is_waited_for() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().missing_result(3));
    let asked = world.ask("revenue by region").await;
    let answer = world.eventually_answered(&asked).await;
    assert_eq!(answer["data"]["partial"], false);
    assert_eq!(world.sim.count("GET", "/result"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_never_comes_is_answered_by_its_summary() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().missing_result(1000));
    let asked = world.ask("revenue by region").await;
    let answer = world.eventually_answered(&asked).await;
    assert_eq!(answer["data"]["partial"], true);
    assert!(!answer["data"]["message"].as_str().unwrap().is_empty());
    let told = eventually("workers have it", async || world.answers().await.pop()).await;
    assert_eq!(told["data"], answer["data"]);
    assert_eq!(world.sim.count("GET", "/result"), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_without_words_has_those_of_the_status() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().wordless());
    let asked = world.ask("revenue by region").await;
    let answer = world.eventually_answered(&asked).await;
    assert!(!answer["data"]["message"].as_str().unwrap().is_empty());
    assert_eq!(answer["data"]["partial"], false, "nothing is missing");
    assert!(answer["data"]["actions"][0].is_object());

    world.sim.next_job(Behaviour::new().wordless().held());
    let asked = world.ask("revenue by month").await;
    world.eventually_in(&asked, "submitted").await;
    let job = world.sim.jobs().pop().unwrap().id;
    world.sim.fault(Fault::new("GET", &job.to_string(), FaultKind::Status(403, None)).times(100));
    world.sim.release(job);
    let answer = world.eventually_answered(&asked).await;
    assert_eq!(answer["data"]["message"], "", "what was found is told without words");
    assert!(answer["data"]["actions"][0].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_failed_makes_the_answer_partial() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().failed_action());
    let asked = world.ask("revenue by region").await;
    assert_eq!(world.eventually_answered(&asked).await["data"]["partial"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_result_is_a_claim_check() {
    let world = World::with(Setting::config(|sources| sources.with("results.inline_max", "64KiB"))).await;
    world.sim.next_job(Behaviour::new().huge_result(300 * 1024));
    let asked = world.ask("revenue by region").await;
    let answer = world.eventually_answered(&asked).await;
    let reference = &answer["data"]["resultRef"];
    let payload: String = world.redis(redis::cmd("GET").arg(reference["key"].as_str().unwrap())).await;
    assert_eq!(reference["bytes"], payload.len());
    let payload: Value = serde_json::from_str(&payload).unwrap();
    assert!(payload["message"].is_string(), "the payload is the whole result");
    for entry in world.answers().await {
        assert!(entry["data"].to_string().len() <= 64 * 1024);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_beyond_every_limit_ends_the_prompt() {
    let settings = Setting::config(|sources| sources.with("results.max", "64KiB").with("results.inline_max", "32KiB"));
    let world = World::with(settings).await;
    world.sim.next_job(Behaviour::new().huge_result(200 * 1024));
    let asked = world.ask("revenue by region").await;
    let entry = world.eventually_ends(&asked).await;
    assert_eq!(entry["data"]["error"]["code"], "result_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_understands_is_kept_aside() {
    let world = World::new().await;
    let body = br#"{"event_id":"evt_1","type":"job.pondering","jobId":"6f1d1a5e-9a35-4c21-8c0f-6d1d44f1c001"}"#;
    let response = world.webhook(body).await;
    assert_eq!(response.status(), 200);
    let kept: usize = world.redis(redis::cmd("XLEN").arg(format!("{{{}}}:unhandled", world.namespace))).await;
    assert_eq!(kept, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_created_elsewhere_is_published_under_omnis_conversation() {
    let world = World::new().await;
    let job = world.create_elsewhere("revenue by region").await;
    let conversation = job.1.to_string();
    let entries = eventually("the foreign job is published", async || {
        let entries = world.entries(&conversation).await;
        (!entries.is_empty()).then_some(entries)
    })
    .await;
    assert_eq!(entries[0]["type"], "omni.answer");
    assert_eq!(entries[0]["data"]["jobId"], job.0.to_string());
    assert_eq!(entries[0]["id"], format!("{}:omni.answer", job.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_with_bytes_that_are_no_text_still_says_how_the_job_ended() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().never());
    let asked = world.ask("revenue by region").await;
    world.eventually_in(&asked, "submitted").await;
    let job = world.sim.jobs()[0].id;
    world.sim.until(|sim| sim.job(job).filter(|job| job.state.is_final()).map(|_| ())).await;
    let body = [format!(r#"{{"jobId":"{job}","status":"COMPLETE","note":""#).as_bytes(), b"\xff\xfe\"}"].concat();
    assert_eq!(world.webhook(&body).await.status(), 200);
    world.eventually_answered(&asked).await;
}
