//! Answers come as Omni sends them, for as long as both sides want them.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use omni_relay::runtime::Outcome;
use reqwest::Method;
use serde_json::{Value, json};

use super::omni::Seen;
use super::{Bed, Events, count, list};
use crate::world::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_on_the_way_comes_at_once() {
    let bed = Bed::new().await;
    let session = bed.session().await;
    let mut events = Events::of(bed.in_session(&session, &count(3)).send().await.unwrap());
    for step in 1..=3 {
        // It goes on only after this one was seen.
        let told = events.next().await.unwrap();
        assert_eq!(told["method"], "notifications/progress");
        assert_eq!(told["params"]["progress"], f64::from(step));
        bed.omni.step();
    }
    assert_eq!(events.result().await["content"][0]["text"], "counted to 3");
    assert_eq!(events.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_listens_hears_what_omni_says_by_itself() {
    let bed = Bed::new().await;
    let session = bed.session().await;
    let listening = bed.request(Method::GET).header("Mcp-Session-Id", &session).send().await.unwrap();
    assert_eq!(listening.headers()["x-accel-buffering"], "no");
    let mut listening = Events::of(listening);
    for _ in 0..2 {
        let announce = json!({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "announce"}});
        let answer = bed.in_session(&session, &announce).send().await.unwrap();
        assert_eq!(Events::of(answer).result().await["content"][0]["text"], "announced");
        assert_eq!(listening.next().await.unwrap()["method"], "notifications/tools/list_changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_key_a_reload_takes_away_listens_no_longer() {
    let bed = Bed::new().await;
    let session = bed.session().await;
    let listen = async || bed.request(Method::GET).header("Mcp-Session-Id", &session).send().await.unwrap();
    let mut listening = Events::of(listen().await);
    bed.world.reload(|sources| sources.with("callers.agents.key", "agents-key,another-key")).unwrap();
    let announce = json!({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "announce"}});
    Events::of(bed.in_session(&session, &announce).send().await.unwrap()).result().await;
    assert_eq!(listening.next().await.unwrap()["method"], "notifications/tools/list_changed");
    bed.world.reload(|sources| sources.with("callers.agents.key", "another-key")).unwrap();
    assert_eq!(listening.next().await, None, "its key is gone");
    assert_eq!(listen().await.status(), 401);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_vanishes_while_nothing_is_said_is_noticed() {
    const ESTABLISHED: &str = "01";
    const KEEPALIVE: &str = "02";
    let bed = Bed::new().await;
    let session = bed.session().await;
    let _listening = bed.request(Method::GET).header("Mcp-Session-Id", &session).send().await.unwrap();
    let port: u16 = bed.world.url.rsplit_once(':').unwrap().1.parse().unwrap();
    eventually("the system looks after the connection", async || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut ours = sockets
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|socket| socket[1].ends_with(&format!(":{port:04X}")) && socket[3] == ESTABLISHED);
        let watched = |socket: Vec<&str>| socket[5].starts_with(KEEPALIVE);
        ours.next().is_some_and(watched).then_some(())
    })
    .await;
}

/// Tells when it is dropped.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A stream that says one thing, then nothing more.
fn endless(gone: Gone) -> Response {
    let first = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"data: {}\n\n"))]);
    let silence = futures_util::stream::once(async move {
        let _gone = gone;
        pending().await
    });
    ([("content-type", "text/event-stream")], Body::from_stream(first.chain(silence))).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_hangs_up_is_gone_for_omni_too() {
    let bed = Bed::new().await;
    for method in [Method::POST, Method::GET] {
        // While it listens, and while it waits for an answer to begin.
        for answers in [true, false] {
            let gone = Arc::new(AtomicBool::default());
            let flag = gone.clone();
            bed.omni.rule(Some(Arc::new(move |_: Seen| {
                let gone = Gone(flag.clone());
                Box::pin(async move {
                    if !answers {
                        let _gone = gone;
                        return pending().await;
                    }
                    endless(gone)
                })
            })));
            let before = bed.arrived();
            let request = bed.request(method.clone()).json(&list());
            if answers {
                let mut events = Events::of(request.send().await.unwrap());
                assert_eq!(events.next().await, Some(json!({})));
                assert!(!gone.load(Ordering::SeqCst));
                drop(events);
            } else {
                tokio::select! {
                    _ = request.send() => panic!("there is no answer"),
                    () = eventually("it arrived", async || (bed.arrived() > before).then_some(())) => {}
                }
            }
            let what = format!("omni sees that it is gone: {method}, {answers}");
            eventually(&what, async || gone.load(Ordering::SeqCst).then_some(())).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_what_is_listened_to_and_lets_calls_come_to_their_end() {
    let mut bed = Bed::new().await;
    let session = bed.session().await;
    let mut listening = Events::of(bed.request(Method::GET).header("Mcp-Session-Id", &session).send().await.unwrap());
    let mut calling = Events::of(bed.in_session(&session, &count(1)).send().await.unwrap());
    assert_eq!(calling.next().await.unwrap()["params"]["progress"], 1.0);
    let omni = bed.omni.clone();
    let (outcome, ()) = tokio::join!(bed.world.stop(), async {
        assert_eq!(listening.next().await, None);
        omni.step();
        assert_eq!(calling.result().await["content"][0]["text"], "counted to 1");
        assert_eq!(calling.next().await, None);
    });
    assert_eq!(outcome, Outcome::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_a_stop_is_ended_cleanly() {
    let mut bed = Bed::new().await;
    let session = bed.session().await;
    let mut calling = Events::of(bed.in_session(&session, &count(1)).send().await.unwrap());
    assert_eq!(calling.next().await.unwrap()["params"]["progress"], 1.0);
    let (outcome, end) = tokio::join!(bed.world.stop(), calling.next());
    assert_eq!((outcome, end), (Outcome::Forced, None::<Value>));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_at_omni_breaks_for_the_agent() {
    let bed = Bed::new().await;
    let (go, gone) = tokio::sync::watch::channel(false);
    bed.omni.answers(move |_| {
        let mut gone = gone.clone();
        let first = futures_util::stream::iter([Ok(Bytes::from_static(b"data: {}\n\n"))]);
        let broken = futures_util::stream::once(async move {
            gone.wait_for(|gone| *gone).await.unwrap();
            Err(std::io::Error::other("it broke"))
        });
        ([("content-type", "text/event-stream")], Body::from_stream(first.chain(broken)))
    });
    let mut answer = bed.post(&list()).send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "data: {}\n\n");
    go.send(true).unwrap();
    assert!(answer.chunk().await.is_err(), "half an answer looks like a whole one");
}
