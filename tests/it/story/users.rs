//! Embed users: who is asked for, who is made, and how often Omni is asked about it.

use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::simulator::{Behaviour, Fault, FaultKind, Sessions, User};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Asked, Setting, World};

const SCIM: &str = "/embed/Users";
const SESSION: &str = "/generate-session";

async fn ask(world: &World, user: &Value) -> Asked {
    world.ask_with(json!({"prompt": "revenue by region", "user": user})).await
}

fn full(external_id: &str) -> Value {
    json!({"externalId": external_id, "name": "Nora Neu", "email": "nora@neu.example", "groups": ["sales"],
           "userAttributes": {"region": "Europe"}, "connectionRoles": {"c-1": "RESTRICTED_QUERIER"}})
}

fn creating(when: &'static str) -> Setting {
    Setting::config(move |sources| sources.with("users.create", when))
}

/// How the prompt failed.
async fn code(world: &World, asked: &Asked) -> Value {
    let entry = world.eventually_ends(asked).await;
    assert_eq!(entry["type"], "omni.failed", "{entry}");
    entry["data"]["error"]["code"].clone()
}

/// Whom the jobs were made for.
fn users_of_jobs(world: &World) -> Vec<Option<Uuid>> {
    let created = world.sim.requests().into_iter().filter(|request| {
        request.method == "POST" && request.path.ends_with("/ai/jobs") && request.status == Some(201)
    });
    created.map(|request| request.query?.strip_prefix("userId=")?.parse().ok()).collect()
}

async fn key_of(world: &World) -> String {
    let keys = world.keys().await;
    let mut users = keys.into_iter().filter(|key| key.starts_with(&format!("{{{}}}:user:", world.namespace)));
    let key = users.next().expect("somebody is remembered");
    assert_eq!(users.next(), None, "one user is remembered");
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_what_one_of_them_found() {
    let world = World::new().await;
    let anna = json!({"externalId": "emea-anna"});
    let first = ask(&world, &anna).await;
    world.eventually_answered(&first).await;
    assert_eq!(world.sim.requests().len(), 3, "a look-up, a create, a result");

    let (world, old) = another_in_its_place(world).await;
    let second = ask(&world, &anna).await;
    world.eventually_answered(&second).await;
    assert_eq!(world.sim.requests().len(), old + 2, "with a known user a prompt costs a create and a result");
    assert_eq!(users_of_jobs(&world), [Some(User::new("emea-anna", "").id); 2]);
    assert!(!key_of(&world).await.contains("anna"));
}

/// The relay stops, and one that remembers nothing by itself starts.
async fn another_in_its_place(mut world: World) -> (World, usize) {
    let _ = world.stop().await;
    world.start().await;
    let requests = world.sim.requests().len();
    (world, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_one_new_user_makes_one_look_up() {
    let setting = Setting { latency: Duration::from_millis(150)..=Duration::from_millis(150), ..Setting::default() };
    let world = World::with(setting).await;
    let anna = json!({"externalId": "emea-anna"});
    let asked = join_all((0..100).map(|_| ask(&world, &anna))).await;
    for asked in &asked {
        world.eventually_answered(asked).await;
    }
    assert_eq!(world.sim.count("GET", SCIM), 1);
    assert_eq!(world.sim.requests().len(), 201);
    // What was granted is what was sent: nobody kept leave for a look-up that another one made.
    let budget = world.keys().await.into_iter().find(|key| key.ends_with(":granted")).unwrap();
    let granted: usize = world.redis(redis::cmd("LLEN").arg(budget)).await;
    assert_eq!(granted, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_looks_again_for_a_moment_and_then_a_user_made_meanwhile_is_found() {
    let world = World::new().await;
    let nora = json!({"externalId": "nora"});
    for _ in 0..3 {
        let asked = ask(&world, &nora).await;
        assert_eq!(code(&world, &asked).await, "user_not_found");
    }
    assert_eq!(world.sim.requests().len(), 1, "one look-up, and nothing was created");
    world.sim.add_user(User::new("nora", "Nora"));
    let asked = ask(&world, &nora).await;
    assert_eq!(code(&world, &asked).await, "user_not_found", "the mark still stands");

    let key = key_of(&world).await;
    let life: i64 = world.redis(redis::cmd("PTTL").arg(&key)).await;
    assert!((0..=30_000).contains(&life), "{life}");
    let _: i64 = world.redis(redis::cmd("PEXPIRE").arg(&key).arg(1)).await;
    crate::world::eventually("the mark is over", async || (!world.keys().await.contains(&key)).then_some(())).await;
    let asked = ask(&world, &nora).await;
    world.eventually_answered(&asked).await;
    assert_eq!(world.sim.count("POST", SESSION), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_among_the_first_of_an_unfiltered_list_is_looked_for_once() {
    let world = World::with(Setting { ignore_scim_filter: true, ..Setting::default() }).await;
    for n in 0..2_000 {
        world.sim.add_user(User::new(&format!("user-{n}"), "One"));
    }
    for _ in 0..2 {
        let asked = ask(&world, &json!({"externalId": "nora"})).await;
        assert_eq!(code(&world, &asked).await, "user_not_found");
    }
    assert_eq!((world.sim.count("GET", SCIM), world.sim.requests().len()), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_profile_makes_a_user_whom_omni_does_not_know() {
    let world = World::new().await;
    // That nobody is there is known already, and does not keep one from being made.
    let bare = ask(&world, &json!({"externalId": "nora", "name": "Nora Neu"})).await;
    assert_eq!(code(&world, &bare).await, "user_not_found", "a name alone is no profile");
    assert_eq!(world.sim.count("POST", SESSION), 0);

    let asked = ask(&world, &full("nora")).await;
    world.eventually_answered(&asked).await;
    let nora = world.sim.user("nora").expect("she was made");
    assert_eq!(nora.name, "Nora Neu");
    let mut said = full("nora").as_object().unwrap().clone();
    said.retain(|name, _| name != "externalId" && name != "name");
    assert_eq!(nora.profile, said, "all that was said of her");
    assert_eq!(users_of_jobs(&world), [Some(nora.id)]);

    let again = ask(&world, &json!({"externalId": "nora"})).await;
    world.eventually_answered(&again).await;
    let other = json!({"externalId": "nora", "name": "Nora Neu", "groups": ["other"]});
    let again = ask(&world, &other).await;
    world.eventually_answered(&again).await;
    assert_eq!(world.sim.count("POST", SESSION), 1, "one that exists is never touched");
    assert_eq!(world.sim.user("nora").unwrap().profile, said);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_exists_is_not_touched_by_a_full_profile() {
    let world = World::new().await;
    let asked = ask(&world, &full("emea-anna")).await;
    world.eventually_answered(&asked).await;
    assert_eq!(world.sim.count("POST", SESSION), 0);
    assert_eq!(world.sim.user("emea-anna").unwrap(), User::new("emea-anna", "Anna"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_one_unknown_user_makes_her_once() {
    let setting = Setting { latency: Duration::from_millis(50)..=Duration::from_millis(50), ..Setting::default() };
    let world = World::with(setting).await;
    let nora = full("nora");
    let asked = join_all((0..30).map(|_| ask(&world, &nora))).await;
    for asked in &asked {
        world.eventually_answered(asked).await;
    }
    assert_eq!((world.sim.count("POST", SESSION), world.sim.count("GET", SCIM)), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_says_who_is_made() {
    let never = World::with(creating("never")).await;
    let asked = ask(&never, &full("nora")).await;
    assert_eq!(code(&never, &asked).await, "user_not_found");
    assert_eq!(never.sim.count("POST", SESSION), 0);

    let always = World::with(creating("always")).await;
    let asked = ask(&always, &json!({"externalId": "nora"})).await;
    always.eventually_answered(&asked).await;
    let nora = always.sim.user("nora").unwrap();
    assert_eq!((nora.name.as_str(), nora.profile.len()), ("nora", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_path_is_tried_once_and_remembered() {
    let world = World::new().await;
    world.sim.sessions(Sessions { v1: false, ..Sessions::default() });
    for (who, tries) in [("nora", 2), ("norbert", 3)] {
        let asked = ask(&world, &full(who)).await;
        world.eventually_answered(&asked).await;
        assert_eq!(world.sim.count("POST", SESSION), tries, "{who}");
    }
    let granted = world.keys().await.into_iter().find(|key| key.ends_with(":granted")).unwrap();
    let granted: usize = world.redis(redis::cmd("LLEN").arg(granted)).await;
    assert_eq!(granted, world.sim.requests().len(), "every request was granted");

    world.sim.sessions(Sessions { v1: false, unstable: false, ..Sessions::default() });
    let asked = ask(&world, &full("norma")).await;
    assert_eq!(code(&world, &asked).await, "user_not_created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_was_just_made_may_show_up_late() {
    let world = World::new().await;
    world.sim.sessions(Sessions { unseen: 2, ..Sessions::default() });
    let asked = ask(&world, &full("nora")).await;
    world.eventually_answered(&asked).await;
    assert_eq!((world.sim.count("POST", SESSION), world.sim.count("GET", SCIM)), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_omni_says_to_the_making_is_told() {
    let world = World::new().await;
    world.sim.fault(Fault::new("POST", SESSION, FaultKind::Status(403, None)));
    let asked = ask(&world, &full("nora")).await;
    assert_eq!(code(&world, &asked).await, "user_not_created");
    // What passes is tried again.
    world.sim.fault(Fault::new("POST", SESSION, FaultKind::Status(503, None)));
    let asked = ask(&world, &full("nora")).await;
    world.eventually_answered(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_id_is_looked_up_once_more() {
    let world = World::new().await;
    let anna = json!({"externalId": "emea-anna"});
    let asked = ask(&world, &anna).await;
    world.eventually_answered(&asked).await;
    let reborn = User { id: Uuid::new_v4(), ..User::new("emea-anna", "Anna") };
    world.sim.remove_user("emea-anna");
    world.sim.add_user(reborn.clone());
    let asked = ask(&world, &anna).await;
    world.eventually_answered(&asked).await;
    assert_eq!(users_of_jobs(&world).last(), Some(&Some(reborn.id)));
    assert_eq!(world.sim.count("GET", SCIM), 2);
    let asked = ask(&world, &anna).await;
    world.eventually_answered(&asked).await;
    assert_eq!(world.sim.count("GET", SCIM), 2, "the new one is remembered");

    world.sim.remove_user("emea-anna");
    let asked = ask(&world, &anna).await;
    assert_eq!(code(&world, &asked).await, "user_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_not_for_the_id_costs_one_look_and_stands() {
    let world = World::new().await;
    let anna = json!({"externalId": "emea-anna"});
    let asked = ask(&world, &anna).await;
    world.eventually_answered(&asked).await;
    for (status, looks) in [(403, 2), (404, 3), (400, 3)] {
        world.sim.next_job(Behaviour::new().refused(status));
        let creates = world.sim.count("POST", "/ai/jobs");
        let asked = ask(&world, &anna).await;
        assert_eq!(code(&world, &asked).await, format!("omni_{status}"));
        assert_eq!(world.sim.count("GET", SCIM), looks, "{status}");
        assert_eq!(world.sim.count("POST", "/ai/jobs"), creates + 1, "{status}");
    }
    // An id that was looked up for this very prompt is not doubted.
    let _: usize = world.redis(redis::cmd("DEL").arg(key_of(&world).await)).await;
    world.sim.next_job(Behaviour::new().refused(403));
    let asked = ask(&world, &anna).await;
    assert_eq!(code(&world, &asked).await, "omni_403");
    assert_eq!(world.sim.count("GET", SCIM), 4);
}
