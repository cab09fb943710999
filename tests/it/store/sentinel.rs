//! The master that sentinels name.

use super::forms::{alone, core_story, goes_on_without_its_master};
use crate::redis::Trio;
use crate::world::{Setting, World};

#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinels_prompts_are_answered_also_when_the_master_is_killed() {
    let _alone = alone().await;
    let mut trio = Trio::start().await;
    let world = World::with(Setting::on(trio.url())).await;
    core_story(&world).await;
    goes_on_without_its_master(&world, "sentinel, master killed", async || trio.kill_master().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_passwords_a_master_that_falls_silent_is_left_for_the_one_that_sentinels_name() {
    let _alone = alone().await;
    let mut trio = Trio::start().await;
    trio.lock().await;
    let world = World::with(Setting::on(trio.url())).await;
    goes_on_without_its_master(&world, "sentinel, master silent", async || trio.freeze_master().await).await;
}
