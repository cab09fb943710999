//! What goes wrong at Omni, or here.

use std::time::Duration;

use axum::http::StatusCode;
use omni_relay::simulator::{Fault, FaultKind};
use serde_json::{Value, json};

use super::{Bed, initialize, list};
use crate::http::problem;
use crate::redis::TestRedis;
use crate::world::{Setting, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_omni_refuses_is_the_relays_matter() {
    let bed = Bed::new().await;
    let challenge = [("www-authenticate", "Bearer resource_metadata=\"https://omni.example.com\"")];
    bed.omni.answers(move |_| (StatusCode::UNAUTHORIZED, challenge, "who are you?"));
    for _ in 0..2 {
        let answer = bed.post(&initialize()).send().await.unwrap();
        assert_eq!(answer.headers().get("www-authenticate"), None);
        let refused = problem(answer, 502).await;
        assert_eq!(refused["code"], "omni_unauthorized");
        assert!(!refused.to_string().contains("who are you"), "{refused}");
    }
    assert_eq!(bed.arrived(), 1, "a key that was refused is not tried again at once");
    let users = bed.world.keys().await.into_iter().filter(|key| key.contains(":user:"));
    assert_eq!(users.count(), 0, "it may have been the user whom Omni does not know any more");
    let ready: Value = bed.world.get("/readyz").await.json().await.unwrap();
    assert_eq!(ready["parts"][1]["state"], "degraded", "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_omni_sets_is_kept() {
    let bed = Bed::new().await;
    bed.omni.answers(|_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "30")], "slow down"));
    for _ in 0..2 {
        let answer = bed.post(&initialize()).send().await.unwrap();
        let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((25..=30).contains(&seconds), "{seconds}");
        let refused = problem(answer, 429).await;
        assert_eq!(refused["code"], "budget");
        assert!(!refused.to_string().contains("slow down"), "{refused}");
    }
    assert_eq!(bed.arrived(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_omni_cannot_do_now_is_a_problem_without_its_text() {
    let bed = Bed::new().await;
    for status in [301, 302, 307, 500, 501, 502, 503, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = [("location", "https://elsewhere.example.com"), ("content-type", "application/json")];
        bed.omni.answers(move |_| (status, headers, "{\"error\":\"a table of ACME's\"}"));
        let refused = problem(bed.post(&initialize()).send().await.unwrap(), 502).await;
        assert_eq!(refused["code"], "omni_unavailable", "{status}");
        assert!(!refused.to_string().contains("ACME"), "{refused}");
    }
    bed.omni.rule(None);
    // The look for the user fails.
    bed.world.sim.fault(Fault::new("GET", "/embed/Users", FaultKind::Status(503, None)).times(1));
    let anna = bed.bare(reqwest::Method::POST).bearer_auth("agents-key").header("X-Relay-User", "emea-anna");
    let refused = problem(anna.json(&list()).send().await.unwrap(), 502).await;
    assert_eq!(refused["code"], "omni_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nothing_passes() {
    let mut redis = TestRedis::private().await;
    let bed = Bed::with(Setting::on(redis.url()), |sources| sources).await;
    let session = bed.session().await;
    let before = bed.arrived();
    redis.stop().await;
    for request in [bed.post(&initialize()), bed.in_session(&session, &list())] {
        let answer = request.send().await.unwrap();
        assert!(answer.headers().contains_key("retry-after"));
        assert_eq!(problem(answer, 503).await["code"], "unavailable");
    }
    assert_eq!(bed.arrived(), before);
    redis.start_again().await;
    eventually("it is back", async || {
        let answer = bed.in_session(&session, &list()).send().await.unwrap();
        (answer.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_nobody_could_remember_is_not_given_out() {
    let mut redis = TestRedis::private().await;
    let bed = Bed::with(Setting::on(redis.url()), |sources| sources).await;
    // Dana is known, so that all Redis is needed for is the budget and the session.
    bed.session().await;
    let (sender, mut arrived) = tokio::sync::mpsc::channel(1);
    let (go, gone) = tokio::sync::watch::channel(false);
    bed.omni.rule(Some(std::sync::Arc::new(move |_| {
        let (sender, mut gone) = (sender.clone(), gone.clone());
        Box::pin(async move {
            sender.send(()).await.unwrap();
            gone.wait_for(|gone| *gone).await.unwrap();
            axum::response::IntoResponse::into_response(([("mcp-session-id", "s")], axum::Json(json!({}))))
        })
    })));
    let (answer, ()) = tokio::join!(bed.post(&initialize()).send(), async {
        arrived.recv().await.unwrap();
        redis.stop().await;
        go.send(true).unwrap();
    });
    assert_eq!(problem(answer.unwrap(), 503).await["code"], "unavailable");
    redis.start_again().await;
    tokio::time::timeout(Duration::from_secs(20), bed.world.http.get(format!("{}/livez", bed.world.url)).send())
        .await
        .unwrap()
        .unwrap();
}
