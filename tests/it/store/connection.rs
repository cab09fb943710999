//! The connection survives what happens to Redis.

use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::{EntryType, Phase};
use omni_relay::store::accept::Accepted;
use omni_relay::store::connection::Redis;
use omni_relay::store::delivery::Stream;
use omni_relay::store::streams::Consumer;
use omni_relay::store::{Store, StoreError};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::bed::{accept, body, entry, new_id, next, policy, prompt_of};
use crate::redis::TestRedis;

fn store(url: &str) -> Store {
    Store::new(Redis::new(url).unwrap(), "relay", policy())
}

async fn until_up(store: &Store) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while let Err(error) = store.redis().ping().await {
        assert!(error.passes(), "{error:?}");
        assert!(Instant::now() < give_up, "the handle does not find Redis again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_same_handle_works_after_a_kill_and_nothing_is_lost() {
    let mut server = TestRedis::private().await;
    let store = store(&server.url());
    let mut submit = Consumer::new(store.clone(), Stream::Prompts, "s");
    submit.make_group().await.unwrap();
    let id = new_id();
    assert_eq!(accept(&store, id, "c", &body(&json!({})), None).await, Accepted::New(Phase::Queued));

    server.kill();
    for _ in 0..3 {
        let error = store.record(id).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
    assert!(submit.read(1, Duration::from_millis(10)).await.unwrap_err().passes());
    server.start_again().await;
    until_up(&store).await;
    assert_eq!(prompt_of(&next(&mut submit).await), id);
    // Scripts are loaded again by themselves.
    assert!(store.publish(id, &entry(id, "c", EntryType::Accepted), None).await.unwrap().new);
}

#[tokio::test]
async fn a_redis_that_falls_silent_fails_calls_soon_and_works_again() {
    let server = TestRedis::private().await;
    let store = store(&server.url());
    let mut inbox = Consumer::new(store.clone(), Stream::Inbox, "i");
    inbox.make_group().await.unwrap();
    server.pause();
    let soon = Duration::from_millis(3500);
    let calls = timeout(soon, join_all((0..20).map(|_| store.redis().ping()))).await.expect("calls hang");
    assert!(calls.iter().all(|call| matches!(call, Err(StoreError::Unavailable(_)))));
    let second = timeout(soon, store.redis().ping()).await.expect("the next call hangs");
    assert!(second.is_err());
    let block = Duration::from_millis(100);
    let read = timeout(soon, inbox.read(1, block)).await.expect("a blocking read hangs");
    assert!(read.unwrap_err().passes());
    server.resume();
    until_up(&store).await;
    store.receive(super::bed::webhook(uuid::Uuid::new_v4())).await.unwrap();
    let _ = next(&mut inbox).await;
}

#[tokio::test]
async fn a_server_that_never_was_there_is_a_wait() {
    let mut server = TestRedis::private().await;
    let url = server.url();
    server.stop().await;
    let store = store(&url);
    assert!(matches!(store.redis().ping().await, Err(StoreError::Unavailable(_))));
    server.start_again().await;
    until_up(&store).await;
}

#[tokio::test]
async fn a_full_redis_is_a_wait_and_no_move_is_half_done() {
    let server = TestRedis::private().await;
    let store = store(&server.url());
    let maxmemory = |bytes: &'static str| {
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory").arg(bytes);
        command
    };
    store.redis().query::<String>(&maxmemory("1")).await.unwrap();
    let id = new_id();
    let conversation = super::bed::named("c");
    let (asked, traceparent) = (body(&json!({})), "00-1-1-01");
    let intake = omni_relay::store::accept::Intake {
        id,
        conversation: &conversation,
        body: &asked,
        traceparent,
        now: 1,
        first_check: 2,
        may_adopt: false,
    };
    let error = store.accept(&intake, None).await.unwrap_err();
    assert!(matches!(error, StoreError::NotReady(_)), "{error:?}");
    let keys: usize = store.redis().query(&redis::cmd("DBSIZE")).await.unwrap();
    assert_eq!(keys, 0);
    // Its connection is as good as any.
    let connected = async || {
        let info: String = store.redis().query(redis::cmd("INFO").arg("stats")).await.unwrap();
        info.lines().find(|line| line.starts_with("total_connections_received:")).map(str::to_owned).unwrap()
    };
    let before = connected().await;
    for _ in 0..5 {
        assert!(store.accept(&intake, None).await.is_err());
    }
    assert_eq!(connected().await, before);
    store.redis().query::<String>(&maxmemory("0")).await.unwrap();
    assert_eq!(store.accept(&intake, None).await.unwrap(), Accepted::New(Phase::Queued));
}

#[tokio::test]
async fn a_redis_that_became_a_replica_is_a_wait() {
    let server = TestRedis::private().await;
    let store = store(&server.url());
    let role = |host: &'static str, port: &'static str| {
        let mut command = redis::cmd("REPLICAOF");
        command.arg(host).arg(port);
        command
    };
    store.redis().query::<String>(&role("127.0.0.1", "1")).await.unwrap();
    let error = store.receive(super::bed::webhook(uuid::Uuid::new_v4())).await.unwrap_err();
    assert!(matches!(error, StoreError::NotReady(_)), "{error:?}");
    store.redis().query::<String>(&role("NO", "ONE")).await.unwrap();
    store.receive(super::bed::webhook(uuid::Uuid::new_v4())).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_loses_what_it_is_given_is_called_so() {
    let dump = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v0.1.0/dump.rdb");
    let careless = TestRedis::private_with(&dump).await;
    let risks = store(&careless.url()).risks().await.unwrap();
    assert!(risks.iter().any(|risk| risk.contains("appendonly yes")), "{risks:?}");
    let careful = TestRedis::private().await;
    assert_eq!(store(&careful.url()).risks().await.unwrap(), Vec::<String>::new());
}
