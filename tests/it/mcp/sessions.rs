//! Whose a session is.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Bed, Events, initialize, list};
use crate::http::problem;
use crate::world::{Setting, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_one_agents_alone() {
    let bed = Bed::new().await;
    let session = bed.session().await;
    let before = bed.arrived();
    for (key, user, session) in [
        ("agents-key", "emea-anna", session.as_str()),
        ("others-key", "dana", &session),
        ("agents-key", "dana", "another"),
        ("agents-key", "dana", ""),
    ] {
        for method in [Method::POST, Method::GET, Method::DELETE] {
            let request = bed.bare(method).bearer_auth(key).header("X-Relay-User", user).json(&list());
            let answer = request.header("Mcp-Session-Id", session).send().await.unwrap();
            assert_eq!(problem(answer, 404).await["code"], "session_not_found", "{key} {user} {session}");
        }
    }
    let twice = bed.in_session(&session, &list()).header("Mcp-Session-Id", "another").send().await.unwrap();
    assert_eq!(problem(twice, 422).await["errors"][0]["pointer"], "/mcp-session-id");
    assert_eq!(bed.arrived(), before, "none of it was passed on");

    let answer = bed.in_session(&session, &list()).send().await.unwrap();
    assert_eq!(Events::of(answer).result().await["tools"].as_array().unwrap().len(), 4);
    let end = || bed.request(Method::DELETE).header("Mcp-Session-Id", &session).send();
    assert!(end().await.unwrap().status().is_success());
    let before = bed.arrived();
    assert_eq!(problem(end().await.unwrap(), 404).await["code"], "session_not_found");
    assert_eq!(bed.arrived(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_omni_does_not_end_goes_on() {
    let bed = Bed::new().await;
    let session = bed.session().await;
    bed.omni.answers(|_| StatusCode::METHOD_NOT_ALLOWED);
    let ended = bed.request(Method::DELETE).header("Mcp-Session-Id", &session).send().await.unwrap();
    assert_eq!(ended.status(), 405);
    bed.omni.rule(None);
    let answer = bed.in_session(&session, &list()).send().await.unwrap();
    Events::of(answer).result().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_with_the_key_it_was_opened_with() {
    let minute = (Duration::from_secs(1), Duration::from_millis(100));
    let setting = Setting { minute, ..Setting::default() };
    let bed = Bed::with(setting, |sources| sources.with("omni.api_keys", "key-one,key-two")).await;
    let with = |number: usize| bed.omni.seen()[number].headers["authorization"].to_str().unwrap().to_owned();
    let last = || with(bed.arrived() - 1);
    // The first key is closed for a moment.
    bed.omni.answers(|_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]));
    assert_eq!(bed.post(&initialize()).send().await.unwrap().status(), 429);
    assert_eq!(last(), "Bearer key-one");
    bed.omni.rule(None);
    let session = bed.session().await;
    assert_eq!(last(), "Bearer key-two");
    eventually("the first key is open again", async || {
        bed.post(&initialize()).send().await.unwrap();
        (last() == "Bearer key-one").then_some(())
    })
    .await;
    bed.in_session(&session, &list()).send().await.unwrap();
    assert_eq!(last(), "Bearer key-two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_omni_gives_anew_is_bound_anew() {
    let bed = Bed::new().await;
    bed.omni.answers(|seen| {
        let next = if seen.headers.contains_key("mcp-session-id") { "second" } else { "first" };
        ([("mcp-session-id", next)], axum::Json(json!({})))
    });
    for (session, opened) in [(None, "first"), (Some("first"), "second"), (Some("second"), "second")] {
        let request = session.map_or_else(|| bed.post(&list()), |session| bed.in_session(session, &list()));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["mcp-session-id"], opened);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_in_its_session_only() {
    let bed = Bed::new().await;
    let session = bed.session().await;
    bed.omni.answers(|_| axum::Json(json!({})));
    let resumed = || bed.request(Method::GET).header("Last-Event-ID", "7");
    assert_eq!(resumed().header("Mcp-Session-Id", &session).send().await.unwrap().status(), 200);
    assert_eq!(bed.omni.seen().pop().unwrap().headers["last-event-id"], "7");
    assert_eq!(resumed().send().await.unwrap().status(), 200);
    assert_eq!(bed.omni.seen().pop().unwrap().headers.get("last-event-id"), None, "it may be another agent's");
}
