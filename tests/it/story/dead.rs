//! Dead letters, and what people decide about them.

use futures_util::future::join_all;
use omni_relay::simulator::{Fault, FaultKind, User};
use serde_json::json;

use crate::world::{Asked, MODEL, World, eventually};

/// The attempts an entry has in a world.
const ATTEMPTS: u32 = 4;

/// Results fail until so many prompts are dead.
fn no_results(world: &World, prompts: u32) {
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(ATTEMPTS * prompts));
}

/// Prompts whose answers could not be fetched.
async fn dead(world: &World, count: u32) -> Vec<Asked> {
    no_results(world, count);
    let mut all = Vec::new();
    for n in 0..count {
        all.push(world.ask_in(&format!("thread-{n}"), &format!("revenue by region {n}")).await);
    }
    for asked in &all {
        world.eventually_in(asked, "dead").await;
    }
    all
}

/// Makes Omni tell of a prompt's job once more, as if nobody had heard of it.
async fn tell_again(world: &World, asked: &Asked) {
    for key in world.keys().await.into_iter().filter(|key| key.contains(":seen:")) {
        let _: i64 = world.redis(redis::cmd("DEL").arg(key)).await;
    }
    world.sim.resend(world.record(&asked.id).await["jobId"].parse().unwrap());
}

async fn terminal_types(world: &World, asked: &Asked) -> Vec<String> {
    let entries = world.entries(&asked.conversation).await;
    let own = entries.into_iter().filter(|entry| entry["data"]["promptId"] == asked.id.as_str());
    let types = own.map(|entry| crate::world::text(&entry, "type"));
    types
        .filter(|kind| {
            kind.starts_with("omni.")
                && !["omni.prompt.accepted", "omni.job.submitted", "omni.delayed"].contains(&kind.as_str())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_a_job_created_elsewhere_names_the_job() {
    let world = World::new().await;
    let job = uuid::Uuid::new_v4();
    let body = json!({"event_id": "evt_1", "jobId": job, "status": "COMPLETE"}).to_string();
    assert_eq!(world.webhook(body.as_bytes()).await.status(), 200);
    let letter = eventually("omni does not know it", async || world.letters().await.pop()).await;
    assert_eq!(world.letter(&letter).await["jobId"], job.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_entry_of_very_many_fields_is_kept_and_replayed() {
    let world = World::new().await;
    let mut push = redis::cmd("XADD");
    push.arg(format!("{{{}}}:intake", world.namespace)).arg("*").arg("data").arg("{}");
    for n in 0..5_000 {
        push.arg(format!("field-{n}")).arg("x");
    }
    let _: String = world.redis(&push).await;
    let letter = eventually("it is refused", async || world.letters().await.pop()).await;
    assert_eq!(world.replay(&letter).await, (202, json!("replayed")));
    let again = eventually("it is refused again", async || world.letters().await.pop().filter(|one| *one != letter));
    again.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_letters_are_answered_once() {
    let world = World::new().await;
    let all = dead(&world, 6).await;
    assert_eq!(world.letters().await.len(), 6);
    for asked in &all {
        assert_eq!(world.replay(&asked.id).await, (202, json!("replayed")));
        let (status, again) = world.replay(&asked.id).await;
        assert_eq!(status, 200);
        assert!(again == "already_replayed" || again == "already_settled", "{again}");
    }
    for asked in &all {
        world.eventually_answered(asked).await;
        world.eventually_in(asked, "answered").await;
        assert_eq!(world.replay(&asked.id).await, (200, json!("already_settled")));
        assert_eq!(terminal_types(&world, asked).await, ["omni.answer"]);
    }
    assert!(world.letters().await.is_empty());
    assert_eq!(world.sim.count("POST", "/jobs"), 6, "asked, and paid, twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_omni_never_had_is_asked_when_it_is_replayed() {
    let world = World::new().await;
    world.sim.fault(Fault::new("GET", "/Users", FaultKind::Status(503, None)).times(ATTEMPTS));
    let body = json!({"prompt": "revenue by region", "conversation": "thread", "user": {"externalId": "dana"}});
    let first = world.ask_with(body.clone()).await;
    world.eventually_in(&first, "dead").await;
    assert_eq!(world.letter(&first.id).await["stage"], "submit");
    let second = world.ask_with(body).await;
    assert_eq!(world.replay(&first.id).await, (202, json!("replayed")));
    for asked in [&first, &second] {
        world.eventually_answered(asked).await;
    }
    assert_eq!(world.sim.jobs().len(), 2);
    assert_eq!(world.sim.requests().iter().filter(|request| request.status == Some(409)).count(), 0, "both at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_again_is_replayed_again() {
    let world = World::new().await;
    let asked = dead(&world, 1).await.remove(0);
    no_results(&world, 1);
    assert_eq!(world.replay(&asked.id).await.0, 202);
    let letter = eventually("it dies again", async || {
        let letter = world.letter(&asked.id).await;
        (letter.get("history")?.lines().count() == 2).then_some(letter)
    })
    .await;
    assert!(!letter.contains_key("closed"));
    assert_eq!(world.replay(&asked.id).await, (202, json!("replayed")));
    world.eventually_answered(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_adds_nothing_to_a_discarded_prompt() {
    let world = World::new().await;
    let asked = dead(&world, 1).await.remove(0);
    assert_eq!(world.discard(&asked.id).await, (202, json!("discarded")));
    let entry = world.eventually_ends(&asked).await;
    assert_eq!((&entry["type"], &entry["data"]["error"]["code"]), (&json!("omni.failed"), &json!("discarded")));
    world.eventually_in(&asked, "failed").await;
    assert_eq!(world.discard(&asked.id).await, (200, json!("already_settled")));
    let before = world.sim.jobs()[0].deliveries;
    tell_again(&world, &asked).await;
    world.sim.until(|sim| (sim.jobs()[0].deliveries > before).then_some(())).await;
    eventually("the late answer is processed", async || {
        let length: usize = world.redis(redis::cmd("XLEN").arg(format!("{{{}}}:inbox", world.namespace))).await;
        (length == 0).then_some(())
    })
    .await;
    assert_eq!(terminal_types(&world, &asked).await, ["omni.failed"]);
    let follow_up = world.ask_in(&asked.conversation, "and by month?").await;
    world.eventually_answered(&follow_up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_and_a_late_webhook_are_one_answer() {
    let world = World::new().await;
    let all = dead(&world, 5).await;
    join_all(all.iter().map(async |asked| {
        let (again, (status, _)) = tokio::join!(tell_again(&world, asked), world.replay(&asked.id));
        assert!(status == 202 || status == 200, "{status} {again:?}");
    }))
    .await;
    answered_once(&world, &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_operators_who_decide_differently_are_one_end() {
    let world = World::new().await;
    let all = dead(&world, 5).await;
    for asked in &all {
        let (replayed, discarded) = tokio::join!(world.replay(&asked.id), world.discard(&asked.id));
        assert_eq!([replayed.0, discarded.0].iter().filter(|status| **status == 202).count(), 1);
    }
    for asked in &all {
        world.eventually_ends(asked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_entry_that_is_replayed_is_read_again() {
    let world = World::new().await;
    let first = world.ask_in("thread", "revenue by region").await;
    world.eventually_answered(&first).await;
    let other = User::new("emea-anna", "Anna").id;
    let pushed =
        json!({"prompt": "and mine?", "modelId": MODEL, "conversation": "thread", "userId": other}).to_string();
    world.push(&pushed).await;
    let letter = eventually("it is refused", async || world.letters().await.pop()).await;
    assert_eq!(world.replay(&letter).await, (202, json!("replayed")));
    let again = eventually("it is refused again", async || world.letters().await.pop()).await;
    assert_ne!(again, letter, "each reading has a letter of its own");
    assert_eq!(world.letter(&again).await["original"], pushed);
    assert_eq!(world.replay(&letter).await, (200, json!("already_replayed")));
    assert_eq!(world.discard(&again).await, (202, json!("discarded")));
    assert!(world.letters().await.is_empty());
}

/// Each has its answer and no other end, and no letter is left.
async fn answered_once(world: &World, all: &[Asked]) {
    for asked in all {
        world.eventually_answered(asked).await;
        world.eventually_in(asked, "answered").await;
    }
    for asked in all {
        assert_eq!(terminal_types(world, asked).await, ["omni.answer"]);
    }
    assert!(world.letters().await.is_empty());
}

/// Some are answered while the run goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_gets_every_prompt_answered_once() {
    let world = World::new().await;
    let all = dead(&world, 40).await;
    let order = json!({"action": "replay", "rate": 0, "filter": {"stage": "process"}});
    let begin = || world.http.post(format!("{}/v1/dead-letter-runs", world.url)).json(&order).send();
    let (run, ..) = tokio::join!(begin(), join_all(all[..10].iter().map(|asked| tell_again(&world, asked))), begin());
    assert_eq!(run.unwrap().status(), 202);
    answered_once(&world, &all).await;
    let runs = eventually("both end", async || {
        let runs: serde_json::Value = world.get("/v1/dead-letter-runs").await.json().await.unwrap();
        runs["items"].as_array().unwrap().iter().all(|run| run["state"] == "done").then_some(runs)
    })
    .await;
    let sum = |name: &str| {
        runs["items"].as_array().unwrap().iter().filter_map(|run| run["counts"][name].as_u64()).sum::<u64>()
    };
    assert!(sum("replayed") <= 40 && sum("matched") == sum("replayed") + sum("already"), "{runs}");
}
