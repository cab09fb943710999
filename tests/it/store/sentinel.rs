//! The master that sentinels name.

use omni_relay::store::connection::Redis;

use super::forms::{alone, core_story, goes_on_without_its_master, world};
use crate::redis::Trio;

#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinels_prompts_are_answered_also_when_the_master_is_killed() {
    let _alone = alone().await;
    let mut trio = Trio::start().await;
    let world = world(trio.url(), 0).await;
    core_story(&world).await;
    goes_on_without_its_master(&world, "sentinel, master killed", async || trio.kill_master().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_passwords_a_master_that_falls_silent_is_left_for_the_one_that_sentinels_name() {
    let _alone = alone().await;
    let mut trio = Trio::start().await;
    trio.lock().await;
    let world = world(trio.url(), 0).await;
    goes_on_without_its_master(&world, "sentinel, master silent", async || trio.freeze_master().await).await;
}

#[tokio::test]
async fn a_master_that_was_replaced_and_does_not_know_it_is_left() {
    let _alone = alone().await;
    let trio = Trio::start().await;
    let redis = Redis::new(&trio.url()).unwrap();
    let block = std::time::Duration::from_millis(10);
    redis.ping().await.unwrap();
    let mut reader = redis.dedicated("stream", block).await.unwrap();
    trio.replace_master().await;
    // As the watch on Redis does every second.
    redis.ping().await.unwrap();
    redis.query::<()>(redis::cmd("SET").arg("key").arg("kept")).await.unwrap();
    let kept: Option<String> = crate::redis::run(&trio.url(), redis::cmd("GET").arg("key")).await;
    assert_eq!(kept.as_deref(), Some("kept"), "written where it will be lost");
    let read = reader.query::<redis::Value>(redis::cmd("XLEN").arg("stream")).await;
    assert!(read.is_err_and(|error| error.passes()), "a reader stays where nothing will come");
}
