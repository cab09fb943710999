//! The relay shared out among processes, each with one role.

use omni_relay::simulator::User;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{Process, Setting, World, eventually};

/// Each role in a process of its own.
pub(crate) const APART: [&str; 4] = ["receive", "submit", "process", "api"];

async fn apart() -> World {
    World::with(Setting { processes: &APART, ..Setting::default() }).await
}

async fn length(world: &World, stream: &str) -> usize {
    world.redis(redis::cmd("XLEN").arg(format!("{{{}}}:{stream}", world.namespace))).await
}

async fn ready(world: &World, url: &str) {
    eventually("the process is ready", async || {
        let answer = world.http.get(format!("{url}/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200).then_some(())
    })
    .await;
}

/// What a process says that it is made of.
async fn parts(world: &World, url: &str) -> Vec<String> {
    let report: Value = world.http.get(format!("{url}/readyz")).send().await.unwrap().json().await.unwrap();
    report["parts"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_are_one_relay_and_what_waits_for_one_of_them_is_not_lost() {
    let mut world = apart().await;
    let _ = world.stop().await;
    let of_omni = |(name, _): &(String, String)| name.contains("__OMNI__");
    assert!(!world.environment("receive").iter().any(of_omni) && world.environment("submit").iter().any(of_omni));

    // Nobody submits: what is accepted waits.
    let api = Process::of(&world, "api", &[]);
    ready(&world, &world.url).await;
    let line = [world.ask_in("thread", "revenue?").await, world.ask_in("thread", "and in Europe?").await];
    let other = world.ask("revenue by month").await;
    let user = User::new("dana", "Dana").id;
    world.push(&json!({"prompt": "revenue by day", "conversation": "pushed", "userId": user}).to_string()).await;
    drop(api);
    let mut processes = vec![Process::of(&world, "api", &[]), Process::of(&world, "receive", &[])];
    ready(&world, &world.url).await;
    ready(&world, &world.receiver).await;
    assert_eq!(world.phase(&other.id).await.as_deref(), Some("queued"));
    assert_eq!((world.sim.requests().len(), length(&world, "intake").await), (0, 1));

    // Somebody does, and nobody processes: webhooks wait.
    processes.push(Process::of(&world, "submit", &[]));
    eventually("three webhooks are there", async || (length(&world, "inbox").await == 3).then_some(())).await;
    assert_eq!(length(&world, "intake").await, 0);
    assert_eq!(world.phase(&other.id).await.as_deref(), Some("submitted"));

    processes.push(Process::of(&world, "process", &[]));
    for asked in line.iter().chain([&other]) {
        world.eventually_answered(asked).await;
    }
    assert_eq!(world.sim.jobs().len(), 4);
    drop(processes);
    world.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_serves_what_its_roles_are_and_nothing_else() {
    let world = apart().await;
    for url in [&world.url, &world.receiver] {
        ready(&world, url).await;
    }
    assert_eq!(parts(&world, &world.receiver).await, ["redis", "operator"]);
    assert_eq!(parts(&world, &world.url).await, ["redis", "omni", "operator"]);
    let status = async |method: &str, url: String| {
        reqwest::Client::new().request(method.parse().unwrap(), url).send().await.unwrap().status()
    };
    for (method, path, receiver, api) in [
        ("GET", "/livez", 200, 200),
        ("GET", "/metrics", 200, 200),
        ("POST", "/webhooks/omni", 401, 404),
        ("POST", "/v1/doctor", 404, 200),
        ("GET", "/v1/pauses", 404, 200),
        ("GET", "/openapi.json", 404, 200),
        ("GET", "/asyncapi.json", 404, 200),
        ("GET", "/console", 404, 200),
    ] {
        let seen = [&world.receiver, &world.url].map(|url| status(method, format!("{url}{path}")));
        let seen = futures_util::future::join_all(seen).await;
        assert_eq!(seen, [receiver, api].map(|code| StatusCode::from_u16(code).unwrap()), "{method} {path}");
    }
    // A drain is of one process; what Omni tells is taken all the same.
    assert_eq!(status("POST", format!("{}/drain", world.receiver)).await, 200);
    assert_eq!(status("GET", format!("{}/readyz", world.receiver)).await, 503);
    assert_eq!(status("GET", format!("{}/readyz", world.url)).await, 200);
    let asked = world.ask("revenue?").await;
    world.eventually_answered(&asked).await;
    assert_eq!(status("GET", format!("{}/readyz", world.receiver)).await, 503);
}
