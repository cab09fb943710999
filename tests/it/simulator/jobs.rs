//! Create, status, result: shapes, states, refusals.

use omni_relay::simulator::{Behaviour, JobState, Options, User};
use serde_json::{Value, json};
use uuid::Uuid;

use super::bench::{Bench, JOBS, quick};

#[tokio::test]
async fn a_job_is_created_and_completes() {
    let bench = Bench::start().await;
    let answer = bench.call("POST", JOBS, Some(&bench.order("revenue by region"))).await;
    assert_eq!(answer.status, 201);
    let view = bench.sim.jobs().remove(0);
    assert_eq!(answer.body["jobId"], view.id.to_string());
    assert_eq!(answer.body["conversationId"], view.conversation_id.to_string());

    bench.until_state(view.id, JobState::Complete).await;
    let status = bench.get(&format!("{JOBS}/{}", view.id)).await.body;
    assert_eq!(status["state"], "COMPLETE");
    assert_eq!(status["prompt"], "revenue by region");
    assert!(status["completedAt"].is_string() && status["executionStartedAt"].is_string());
    assert!(status.get("progress").is_none());

    let result = bench.get(&format!("{JOBS}/{}/result", view.id)).await;
    assert_eq!(result.headers["content-type"], "application/octet-stream");
    assert_eq!(result.body["message"], status["resultSummary"]);
    assert_eq!(bench.sim.count("GET", "/result"), 1);
}

#[tokio::test]
async fn the_status_has_what_its_state_has() {
    let bench = Bench::start().await;
    for state in [JobState::Queued, JobState::Executing, JobState::Delivering] {
        bench.sim.next_job(Behaviour::new().held_in(state));
        let job = bench.create("revenue by region").await;
        bench.until_state(job, state).await;
        let status = bench.get(&format!("{JOBS}/{job}")).await.body;
        assert_eq!(status["state"], state.as_str());
        assert_eq!(status["progress"].is_object(), state == JobState::Executing);
        assert_eq!(status.get("executionStartedAt").is_some(), state != JobState::Queued);
        assert_eq!(bench.get(&format!("{JOBS}/{job}/result")).await.status, 404);
        bench.sim.release(job);
        bench.until_state(job, JobState::Complete).await;
    }
    bench.sim.next_job(Behaviour::new().failed("NO_COLUMN", "no such column"));
    let job = bench.create("revenue by region").await;
    bench.until_state(job, JobState::Failed).await;
    let status = bench.get(&format!("{JOBS}/{job}")).await.body;
    assert_eq!(
        (&status["error"]["code"], &status["error"]["message"]),
        (&json!("NO_COLUMN"), &json!("no such column"))
    );
    assert_eq!(bench.get(&format!("{JOBS}/{job}/result")).await.status, 404);

    bench.sim.next_job(Behaviour::new().cancelled());
    let job = bench.create("revenue by region").await;
    bench.until_state(job, JobState::Cancelled).await;
    let status = bench.get(&format!("{JOBS}/{job}")).await.body;
    assert!(status["cancelledAt"].is_string() && status["cancelledBy"].is_string());
}

#[tokio::test]
async fn a_create_that_breaks_a_rule_is_refused() {
    let bench = Bench::start().await;
    let wrong = [
        ("prompt", json!("")),
        ("prompt", json!("[sim:nevr] revenue")),
        ("modelId", json!("7")),
        ("modelId", Value::Null),
        ("conversationId", json!("00000000000000000000000000000007")),
        ("conversationId", Value::Null),
        ("branchId", json!("main")),
        ("topicName", json!("x".repeat(257))),
        ("webhookUrl", json!("not a url")),
        ("webhookSigningSecret", json!("")),
        ("webhookMetadata", json!("text")),
        ("attachments", json!([{ "data": "%", "mimeType": "image/png" }])),
        ("attachments", json!([{ "data": "AAAA", "mimeType": "text/plain" }])),
        ("attachments", json!([{ "data": "", "mimeType": "image/png" }])),
        ("attachments", json!([{ "data": "AAAA".repeat(1 << 20) + "AAAA", "mimeType": "image/png" }])),
        ("attachments", json!([{ "data": "AAAA", "mimeType": "image/png", "name": null }])),
        ("attachments", Value::Array(vec![json!({ "data": "AAAA", "mimeType": "image/png" }); 6])),
        ("userId", json!(Uuid::from_u128(1))),
        ("temperature", json!(1)),
    ];
    for (key, value) in wrong {
        let mut order = bench.order("revenue by region");
        order[key] = value;
        let answer = bench.call("POST", JOBS, Some(&order)).await;
        assert_eq!(answer.status, 400, "{key}");
    }
    let progress = json!({ "modelId": Uuid::from_u128(7), "prompt": "x", "progressWebhookEnabled": true });
    assert_eq!(bench.call("POST", JOBS, Some(&progress)).await.status, 400);
    assert_eq!(bench.call("POST", JOBS, Some(&json!([]))).await.status, 400);
    let bad_user = format!("{JOBS}?userId=7");
    assert_eq!(bench.call("POST", &bad_user, Some(&bench.order("x"))).await.status, 400);
    assert!(bench.sim.jobs().is_empty());
}

#[tokio::test]
async fn files_are_looked_at_and_have_a_size() {
    let bench = Bench::start().await;
    let mut order = bench.order("what is this?");
    let largest = json!({ "data": "AAAA".repeat(1 << 20), "mimeType": "image/png", "name": "zeros" });
    order["attachments"] = json!([largest, { "data": "AAAA".repeat(2 << 20), "mimeType": "application/pdf" }]);
    let job = bench.send(&order).await;
    let files = bench.view(job).attachments;
    let seen: Vec<_> = files.iter().map(|file| (file.mime_type.as_str(), file.name.as_deref(), file.bytes)).collect();
    assert_eq!(seen, [("image/png", Some("zeros"), 3 << 20), ("application/pdf", None, 6 << 20)]);
    // head -c 3145728 /dev/zero | sha256sum
    assert_eq!(files[0].sha256, "bbd05cf6097ac9b1f89ea29d2542c1b7b67ee46848393895f5a9e43fa1f621e5");
    order["attachments"] = json!([{ "data": "AAAA".repeat(4 << 20), "mimeType": "application/pdf" }]);
    assert_eq!(bench.call("POST", JOBS, Some(&order)).await.status, 413);
}

#[tokio::test]
async fn a_complete_job_is_drawn_where_there_is_something_to_draw() {
    let bench = Bench::start().await;
    bench.sim.next_job(Behaviour::new().held());
    let job = bench.create("revenue by region").await;
    let path = format!("{JOBS}/{job}/vis");
    assert_eq!(bench.get(&path).await.status, 404);
    bench.sim.release(job);
    bench.until_state(job, JobState::Complete).await;
    let drawn = bench.get(&path).await;
    assert_eq!((drawn.status, &drawn.headers["content-type"]), (200, &"image/png".parse().unwrap()));
    assert!(drawn.raw.starts_with(b"\x89PNG\r\n\x1a\n"));
    let job = bench.create("[sim:no-chart] revenue by region").await;
    bench.until_state(job, JobState::Complete).await;
    let nothing = bench.get(&format!("{JOBS}/{job}/vis")).await;
    assert!(nothing.status == 422 && nothing.body["error"].is_string(), "{}", nothing.body);
}

#[tokio::test]
async fn a_job_is_rated_once_by_its_user_when_it_has_ended() {
    let bench = Bench::start().await;
    let user = User::new("acme-1", "Ada");
    bench.sim.add_user(user.clone());
    bench.sim.next_job(Behaviour::new().held());
    let order = bench.order("revenue by region");
    bench.call("POST", &format!("{JOBS}?userId={}", user.id), Some(&order)).await;
    let job = bench.sim.jobs()[0].id;
    let rate = async |user: &str, body: Value| {
        bench.call("POST", &format!("{JOBS}/{job}/feedback{user}"), Some(&body)).await.status
    };
    let ours = format!("?userId={}", user.id);
    let good = json!({ "rating": "good", "comment": "x".repeat(5000) });
    assert_eq!(rate(&ours, good.clone()).await, 409);
    bench.sim.release(job);
    bench.until_state(job, JobState::Complete).await;
    for wrong in [
        json!({}),
        json!({ "rating": "fine" }),
        json!({ "rating": "bad", "comment": "" }),
        json!({ "rating": "bad", "comment": "x".repeat(5001) }),
        json!({ "rating": "bad", "comment": null }),
        json!({ "rating": "bad", "userId": user.id }),
    ] {
        assert_eq!(rate(&ours, wrong.clone()).await, 400, "{wrong}");
    }
    for other in ["", &format!("?userId={}", Uuid::from_u128(1))] {
        assert_eq!(rate(other, good.clone()).await, 403);
    }
    assert_eq!(rate(&ours, good.clone()).await, 200);
    assert_eq!(rate(&ours, good).await, 409);
    assert_eq!(bench.view(job).feedback, Some(("good".to_owned(), Some("x".repeat(5000)))));
    let unknown = format!("{JOBS}/{}/feedback", Uuid::from_u128(1));
    assert_eq!(bench.call("POST", &unknown, Some(&json!({ "rating": "bad" }))).await.status, 404);
    bench.sim.next_job(Behaviour::new().cancelled());
    let cancelled = bench.create("revenue by region").await;
    bench.until_state(cancelled, JobState::Cancelled).await;
    let path = format!("{JOBS}/{cancelled}/feedback");
    assert_eq!(bench.call("POST", &path, Some(&json!({ "rating": "bad" }))).await.status, 409);
}

#[tokio::test]
async fn unknown_things_are_not_found() {
    let bench = Bench::start().await;
    let unknown = Uuid::from_u128(1);
    for path in [format!("{JOBS}/{unknown}"), format!("{JOBS}/{unknown}/result"), format!("{JOBS}/{unknown}/vis")] {
        assert_eq!(bench.get(&path).await.status, 404);
    }
    for path in [format!("{JOBS}/7"), format!("{JOBS}/7/result")] {
        assert_eq!(bench.get(&path).await.status, 400);
    }
    let mut order = bench.order("x");
    order["conversationId"] = json!(unknown);
    assert_eq!(bench.call("POST", JOBS, Some(&order)).await.status, 404);
    let nowhere = bench.get("/api/v0/users/embed").await;
    assert_eq!((nowhere.status, &nowhere.body["status"]), (404, &json!(404)));
    assert_eq!(bench.call("DELETE", JOBS, None).await.status, 405);
}

#[tokio::test]
async fn a_conversation_has_one_active_job() {
    let bench = Bench::start().await;
    bench.sim.next_job(Behaviour::new().held());
    let first = bench.create("revenue by region").await;
    let mut order = bench.order("and in Europe?");
    order["conversationId"] = json!(bench.view(first).conversation_id);
    assert_eq!(bench.call("POST", JOBS, Some(&order)).await.status, 409);
    bench.sim.release(first);
    bench.until_state(first, JobState::Complete).await;
    let second = bench.send(&order).await;
    assert_eq!(bench.view(second).conversation_id, bench.view(first).conversation_id);
    assert_eq!(bench.view(second).order, 1);
}

#[tokio::test]
async fn only_members_may_be_asked_for() {
    let bench = Bench::start().await;
    let user = User::new("acme-1", "Ada");
    let path = format!("{JOBS}?userId={}", user.id);
    assert_eq!(bench.call("POST", &path, Some(&bench.order("x"))).await.status, 403);
    bench.sim.add_user(user.clone());
    assert_eq!(bench.call("POST", &path, Some(&bench.order("x"))).await.status, 201);
    let job = bench.sim.jobs().remove(0);
    assert_eq!(job.user_id, Some(user.id));
    assert_eq!(bench.get(&format!("{JOBS}/{}", job.id)).await.body["userId"], user.id.to_string());
    bench.sim.remove_user("acme-1");
    assert_eq!(bench.call("POST", &path, Some(&bench.order("x"))).await.status, 403);
}

#[tokio::test]
async fn a_key_is_needed() {
    let bench = Bench::with(Options { api_keys: vec!["right".to_owned()], ..quick() }).await;
    let order = bench.order("x");
    for (key, status) in [("", 401), ("wrong", 401), ("right", 201)] {
        let answer = bench.call_with(key, "POST", JOBS, Some(&order)).await.unwrap();
        assert_eq!(answer.status, status, "{key}");
        crate::openapi::check_response("POST", JOBS, status, &answer.body);
    }
}

#[tokio::test]
async fn each_key_has_its_budget() {
    let bench = Bench::with(Options { requests_per_minute: 3, ..quick() }).await;
    let path = "/api/scim/v2/embed/Users";
    for _ in 0..3 {
        assert_eq!(bench.get(path).await.status, 200);
    }
    let refused = bench.get(path).await;
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(bench.call_with("another key", "GET", path, None).await.unwrap().status, 200);
    let statuses: Vec<_> = bench.sim.requests().into_iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(200), Some(200), Some(200), Some(429), Some(200)]);
}
