//! Another configuration under a relay that runs: what goes on, what ends, what is left behind.

use omni_relay::config::Sources;
use reqwest::Method;
use serde_json::{Value, json};

use super::sse::Events;
use super::{Relay, problem};
use crate::redis::TestRedis;
use crate::world::eventually;

const SECRET: &str = "a secret of at least thirty-two bytes";
const OTHER: &str = "another secret of thirty-two bytes..";

fn set(sources: Sources) -> Sources {
    sources
        .with("callers.acme.key", "acme-key,acme-old-key")
        .with("callers.acme.scopes", "prompts,read")
        .with("callers.acme.tenant", "acme")
        .with("callers.ops.key", "ops-key")
        .with("callers.ops.scopes", "read,ops")
        .with("tokens.secrets", SECRET)
}

async fn open(relay: &Relay, shown: &str) -> Events {
    let mut events = Events::open(relay.get("/v1/conversations/acme%2Fthread/events").bearer_auth(shown)).await;
    events.answer().await;
    events
}

async fn status(relay: &Relay, key: &str) -> u16 {
    let path = "/v1/conversations/acme%2Fthread/entries";
    relay.get(path).bearer_auth(key).send().await.unwrap().status().as_u16()
}

async fn ask(relay: &Relay) -> Value {
    let asked = relay.ask_and_wait(&json!({"conversation": "thread"})).bearer_auth("acme-key");
    asked.send().await.unwrap().json().await.unwrap()
}

/// A stream goes on as long as whoever opened it would be let in again.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_right_to_it_and_no_sooner() {
    let relay = Relay::with(set).await;
    ask(&relay).await;
    let minted = relay.post("/v1/conversations/thread/token", "").bearer_auth("acme-key").send().await.unwrap();
    let token = minted.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let mut stays = open(&relay, "acme-key").await;
    let mut rotated = open(&relay, "acme-old-key").await;
    let mut granted = open(&relay, &token).await;
    let mut operator = open(&relay, "ops-key").await;
    let parameter = relay.get(&format!("/v1/conversations/acme%2Fthread/events?token={token}"));
    let mut parameter = Events::open(parameter).await;
    parameter.answer().await;

    relay.reload(|sources| set(sources).with("omni.requests_per_minute", "90000")).unwrap();
    let entry = ask(&relay).await["entry"].clone();
    for events in [&mut stays, &mut rotated, &mut granted, &mut operator, &mut parameter] {
        assert_eq!(events.answer().await.data, entry, "nobody's right has changed");
    }

    let without_old = |sources| set(sources).with("callers.acme.key", "acme-key");
    relay.reload(without_old).unwrap();
    assert_eq!(rotated.next().await, None, "its key is gone");
    assert_eq!(status(&relay, "acme-old-key").await, 401);
    relay.reload(|sources| without_old(sources).with("callers.ops.scopes", "ops")).unwrap();
    assert_eq!(operator.next().await, None, "its scope is gone");
    let entry = ask(&relay).await["entry"].clone();
    for events in [&mut stays, &mut granted, &mut parameter] {
        assert_eq!(events.answer().await.data, entry);
    }
    let rotating = format!("{OTHER},{SECRET}");
    relay.reload(|sources| without_old(sources).with("tokens.secrets", rotating)).unwrap();
    let entry = ask(&relay).await["entry"].clone();
    for events in [&mut stays, &mut granted, &mut parameter] {
        assert_eq!(events.answer().await.data, entry, "its secret is still good");
    }
    relay.reload(|sources| without_old(sources).with("tokens.secrets", OTHER)).unwrap();
    assert_eq!((granted.next().await, parameter.next().await), (None, None), "the secret of its token is gone");
    let entry = ask(&relay).await["entry"].clone();
    assert_eq!(stays.answer().await.data, entry);
    relay.reload(|sources| without_old(sources).with("callers.acme.tenant", "other")).unwrap();
    assert_eq!(stays.next().await, None, "it is another tenant's caller");
    relay.stop().await;
}

/// What takes a restart is refused by name, together with everything that came with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_refused_with_all_that_came_along() {
    let relay = Relay::with(set).await;
    let others = |sources| set(sources).with("callers.new.key", "new-key").with("namespace", "other");
    let refused = relay.reload(|sources| others(sources).with("runtime.workers", "1023")).unwrap_err();
    assert_eq!(refused.to_string(), "changed, and taken at a start only: namespace, runtime.workers");
    problem(relay.get("/v1/prompts/x").bearer_auth("new-key").send().await.unwrap(), 401).await;
    relay.stop().await;
}

/// A drain is until the next start, guesses count on, and whoever waits for an answer gets it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_process_knows_outlives_a_reload() {
    let relay = Relay::with(set).await;
    ask(&relay).await;
    assert_eq!(status(&relay, "ops-key").await, 200);
    for _ in 0..20 {
        relay.get("/v1/prompts/x").bearer_auth("guess").send().await.unwrap();
    }
    let waiting = ask(&relay);
    let reload = async { relay.reload(set).unwrap() };
    let (answered, ()) = tokio::join!(waiting, reload);
    assert_eq!(answered["entry"]["type"], "omni.answer", "{answered}");
    problem(relay.get("/v1/prompts/x").bearer_auth("guess").send().await.unwrap(), 429).await;
    let drained = relay.request(Method::POST, "/drain").bearer_auth("ops-key").send().await.unwrap();
    assert_eq!(drained.status(), 200);
    eventually("it is not ready", async || (ready(&relay).await == 503).then_some(())).await;
    relay.reload(set).unwrap();
    assert_eq!(ready(&relay).await, 503);
    relay.stop().await;
}

async fn ready(relay: &Relay) -> u16 {
    relay.get("/readyz").send().await.unwrap().status().as_u16()
}

/// Twenty reloads later there are as many tasks, and as many connections to Redis.
#[tokio::test(flavor = "multi_thread")]
async fn reloads_leave_nothing_behind() {
    let redis = TestRedis::private().await;
    let relay = Relay::on(&redis.url(), "reloads", set).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut looking = relay.redis().await;
    let mut connections = async || -> usize {
        let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut looking).await.unwrap();
        list.lines().count()
    };
    let answered = async || assert_eq!(ask(&relay).await["entry"]["type"], "omni.answer");
    // Once, so that everything that is made at its first use is there.
    answered().await;
    relay.reload(set).unwrap();
    answered().await;
    let before = eventually_still(&tasks, &mut connections).await;
    for _ in 0..20 {
        relay.reload(set).unwrap();
        assert_eq!(ready(&relay).await, 200, "not ready for a moment");
        answered().await;
    }
    let after = eventually_still(&tasks, &mut connections).await;
    println!("20 reloads: {} tasks and {} connections before, {} and {} after", before.0, before.1, after.0, after.1);
    // Clients' idle connections come and go; one task for each reload would be twenty.
    assert!(after.0 < before.0 + 10 && after.1 <= before.1, "{before:?} before, {after:?} after");
    relay.stop().await;
}

/// Tasks and connections, once they are the same for a while.
async fn eventually_still(tasks: impl Fn() -> usize, connections: &mut impl AsyncFnMut() -> usize) -> (usize, usize) {
    let mut seen = Vec::new();
    eventually("nothing is on its way any more", async || {
        seen.push((tasks(), connections().await));
        // Longer than a read of a worker that stops.
        let last = seen.iter().rev().take(100);
        (last.clone().count() == 100 && last.clone().all(|one| one == &seen[seen.len() - 1]))
            .then(|| seen[seen.len() - 1])
    })
    .await
}
