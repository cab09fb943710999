//! A Cluster.

use omni_relay::store::connection::Redis;

use super::forms::{alone, core_story, goes_on_without_its_master, world};
use crate::redis::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_prompts_are_answered_also_when_the_master_of_the_control_plane_is_killed() {
    let _alone = alone().await;
    let mut cluster = Cluster::start().await;
    let world = world(cluster.url(), 0).await;
    core_story(&world).await;
    let control = format!("{{{}}}:prompts", world.namespace);
    let replaced = async || cluster.replace_master_of(&control).await;
    goes_on_without_its_master(&world, "cluster, master replaced", replaced).await;
    goes_on_without_its_master(&world, "cluster, master killed", async || cluster.kill_master_of(&control).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_passwords_a_master_that_falls_silent_is_left_for_its_replica() {
    let _alone = alone().await;
    let mut cluster = Cluster::start().await;
    cluster.lock().await;
    let world = world(cluster.url(), 0).await;
    let control = format!("{{{}}}:prompts", world.namespace);
    goes_on_without_its_master(&world, "cluster, master silent", async || cluster.freeze_master_of(&control).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_twice_in_a_moment_is_followed() {
    let _alone = alone().await;
    let cluster = Cluster::start().await;
    let redis = Redis::new(&cluster.url()).unwrap();
    // Keys of the first, the second and the third master.
    let (one, two, three) = ("bar", "one", "foo");
    let mut get = redis::cmd("GET");
    get.arg(one);
    redis.query::<Option<String>>(&get).await.unwrap();
    for to in [two, three, two, three] {
        cluster.move_slot(one, to).await;
        redis.query::<Option<String>>(&get).await.unwrap();
    }
}
