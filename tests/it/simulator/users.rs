//! SCIM: the look-up of embed users.

use omni_relay::simulator::{Options, Sessions, User};
use serde_json::{Value, json};

use super::bench::{Bench, quick};

const USERS: &str = "/api/scim/v2/embed/Users";

fn people() -> Vec<User> {
    ["a-1", "a-11", "A-1", "quo\"te"].into_iter().map(|id| User::new(id, &format!("Name of {id}"))).collect()
}

fn ids(body: &Value) -> Vec<&str> {
    let users = body["Resources"].as_array().expect("a list of users");
    users.iter().filter_map(|user| user["embedExternalId"].as_str()).collect()
}

#[tokio::test]
async fn a_filter_finds_exactly_one_user() {
    let bench = Bench::with(Options { users: people(), ..quick() }).await;
    let found = bench.get(&format!("{USERS}?filter=embedExternalId%20eq%20%22a-1%22")).await.body;
    assert_eq!(ids(&found), ["a-1"]);
    assert_eq!(found["Resources"][0]["id"], people()[0].id.to_string());
    assert_eq!(found["totalResults"], 1);
    let quoted = bench.get(&format!("{USERS}?filter=embedExternalId%20eq%20%22quo%5C%22te%22")).await.body;
    assert_eq!(ids(&quoted), ["quo\"te"]);
    let none = bench.get(&format!("{USERS}?filter=embedExternalId%20eq%20%22b%22")).await.body;
    assert_eq!((ids(&none).len(), none["totalResults"].as_u64()), (0, Some(0)));
    assert_eq!(bench.get(&format!("{USERS}?filter=nonsense")).await.status, 400);
}

#[tokio::test]
async fn some_instances_ignore_the_filter() {
    let bench = Bench::with(Options { users: people(), ignore_scim_filter: true, ..quick() }).await;
    let all = bench.get(&format!("{USERS}?filter=embedExternalId%20eq%20%22a-1%22")).await.body;
    assert_eq!(ids(&all), ["a-1", "a-11", "A-1", "quo\"te"]);
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let bench = Bench::with(Options { users: people(), ..quick() }).await;
    let page = bench.get(&format!("{USERS}?count=3&startIndex=3")).await.body;
    assert_eq!(ids(&page), ["A-1", "quo\"te"]);
    assert_eq!((page["totalResults"].as_u64(), page["itemsPerPage"].as_u64()), (Some(4), Some(2)));
    let refused = bench.get(&format!("{USERS}?count=many")).await;
    assert_eq!((refused.status, refused.body["status"].as_u64()), (400, Some(400)));
    assert_eq!(ids(&bench.get(&format!("{USERS}?startIndex=5")).await.body), [""; 0]);
}

#[tokio::test]
async fn one_user_can_be_read_and_deleted() {
    let bench = Bench::with(Options { users: people(), ..quick() }).await;
    let path = format!("{USERS}/{}", people()[0].id);
    assert_eq!(bench.get(&path).await.body["displayName"], "Name of a-1");
    assert_eq!(bench.call("DELETE", &path, None).await.status, 204);
    assert_eq!(bench.get(&path).await.status, 404);
    assert_eq!(bench.call("DELETE", &path, None).await.status, 404);
    assert_eq!(ids(&bench.get(USERS).await.body), ["a-11", "A-1", "quo\"te"]);
}

#[tokio::test]
async fn generate_session_makes_users_and_takes_away_what_is_left_out() {
    let bench = Bench::with(Options { users: people(), ..quick() }).await;
    let (v1, unstable) = ("/api/v1/embed/sso/generate-session", "/api/unstable/embed/sso/generate-session");
    let body = json!({"externalId": "new", "name": "New", "contentPath": "/my", "groups": ["sales"],
                      "userAttributes": {"region": "Europe"}});
    bench.sim.sessions(Sessions { v1: true, unstable: false, unseen: 1 });
    assert_eq!(bench.call("POST", unstable, Some(&body)).await.status, 404);
    let answer = bench.call("POST", v1, Some(&body)).await;
    assert!(answer.status == 200 && answer.body["sessionId"].is_string());
    let new = bench.sim.user("new").unwrap();
    assert_eq!((new.region.as_deref(), &new.profile["groups"]), (Some("Europe"), &json!(["sales"])));
    assert!(!ids(&bench.get(USERS).await.body).contains(&"new"), "not shown yet");
    assert!(ids(&bench.get(USERS).await.body).contains(&"new"));

    bench.sim.sessions(Sessions { v1: false, unstable: true, unseen: 0 });
    assert_eq!(bench.call("POST", v1, Some(&body)).await.status, 404);
    let less = json!({"externalId": "new", "name": "Newer", "contentPath": "/my"});
    assert_eq!(bench.call("POST", unstable, Some(&less)).await.status, 200);
    let newer = bench.sim.user("new").unwrap();
    assert_eq!((newer.id, newer.name.as_str(), newer.profile.len()), (new.id, "Newer", 0));
    for wrong in [
        json!({"externalId": "x", "name": "X"}),
        json!({"externalId": "", "name": "X", "contentPath": "/my"}),
        json!({"externalId": "x", "name": "X", "contentPath": "/my", "nonce": "1"}),
    ] {
        assert_eq!(bench.call("POST", unstable, Some(&wrong)).await.status, 400, "{wrong}");
    }
}
