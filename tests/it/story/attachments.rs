//! Files that go along with a prompt reach Omni, and stay nowhere.

use std::future::ready;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use omni_relay::simulator::{Behaviour, Fault, FaultKind, File, User};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::redis::TestRedis;
use crate::world::{Asked, PATIENCE, Setting, World, eventually, text};

/// Bytes that are no text, and differ by `seed`.
fn content(seed: u8, bytes: usize) -> Vec<u8> {
    (0..251).map(|n| n ^ seed).cycle().take(bytes).collect()
}

/// A file as callers send it, and as Omni shall see it.
fn file(seed: u8, bytes: usize, mime_type: &str, name: Option<&str>) -> (Value, File) {
    let content = content(seed, bytes);
    let mut given = json!({"data": BASE64_STANDARD.encode(&content), "mimeType": mime_type});
    if let Some(name) = name {
        given["name"] = json!(name);
    }
    let (name, sha256) = (name.map(str::to_owned), hex::encode(Sha256::digest(&content)));
    (given, File { mime_type: mime_type.to_owned(), name, bytes, sha256 })
}

fn prompt(more: &Value) -> Value {
    let mut body = json!({"prompt": "what is in the picture?", "userId": User::new("dana", "Dana").id});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// The keys that hold files.
async fn kept(world: &World) -> Vec<String> {
    world.keys().await.into_iter().filter(|key| key.contains(":attachment:")).collect()
}

/// Hears of every file that is written to a server.
struct Writes(redis::aio::PubSub);

impl Writes {
    async fn watch(world: &World) -> Self {
        let mut tell = redis::cmd("CONFIG");
        let _: String = world.redis(tell.arg("SET").arg("notify-keyspace-events").arg("K$")).await;
        let client = redis::Client::open(world.redis_url.as_str()).unwrap();
        let mut heard = client.get_async_pubsub().await.unwrap();
        heard.psubscribe("__keyspace@0__:*:attachment:*").await.unwrap();
        Self(heard)
    }

    /// How many were written so far.
    async fn count(mut self, world: &World) -> usize {
        let last = format!("{}:attachment:last", world.namespace);
        let _: String = world.redis(redis::cmd("SET").arg(&last).arg(1).arg("PX").arg(1)).await;
        let heard = self.0.on_message().take_while(|one| ready(!one.get_channel_name().ends_with(&last)));
        let written = heard.filter(|one| ready(one.get_payload::<String>().unwrap() == "set"));
        tokio::time::timeout(PATIENCE, written.count()).await.expect("the last one is heard of")
    }
}

async fn gone(world: &World) {
    eventually("nobody's files are kept", async || kept(world).await.is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_reach_omni_byte_for_byte_whichever_way_they_come() {
    let world = World::new().await;
    let (image, seen_image) = file(1, 3 << 20, "image/png", Some("chart of ACME.png"));
    let (paper, seen_paper) = file(2, 5 << 20, "application/pdf", None);
    let (small, seen_small) = file(3, 1000, "image/webp", None);
    let asked = world.ask_with(prompt(&json!({"attachments": [image, paper, small]}))).await;
    world.eventually_answered(&asked).await;
    assert_eq!(world.sim.jobs()[0].attachments, [seen_image, seen_paper, seen_small.clone()]);
    let stored = world.record(&asked.id).await;
    assert!(stored.values().all(|value| value.len() < 4096), "files stand in the record");

    let batch = json!({"prompts": [prompt(&json!({"attachments": [small], "conversation": "batch"}))]});
    let answer = world.http.post(format!("{}/v1/prompts:batch", world.url)).json(&batch).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["items"][0]["status"], 202, "{answer}");
    world.push(&prompt(&json!({"attachments": [small], "conversation": "pushed"})).to_string()).await;
    for conversation in ["batch", "pushed"] {
        eventually("it is answered", async || {
            let entries = world.entries(conversation).await;
            entries.into_iter().find(|entry| entry["type"] == "omni.answer")
        })
        .await;
    }
    for job in &world.sim.jobs()[1..] {
        assert_eq!(job.attachments, std::slice::from_ref(&seen_small));
    }
    gone(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_until_omni_has_the_job_and_no_longer() {
    let world = World::new().await;
    world.sim.set_default(Behaviour::new().held());
    let (file, _) = file(1, 1000, "image/png", None);
    let first = world.ask_with(prompt(&json!({"attachments": [file], "conversation": "line"}))).await;
    world.eventually_in(&first, "submitted").await;
    gone(&world).await;

    // Behind it in line; its files have no end while it waits.
    let second = world.ask_with(prompt(&json!({"attachments": [file], "conversation": "line"}))).await;
    let keys = kept(&world).await;
    assert_eq!(keys, [format!("{}:attachment:{{{}}}", world.namespace, second.id)]);
    let life: i64 = world.redis(redis::cmd("PTTL").arg(&keys[0])).await;
    assert_eq!(life, -1);
    // They count in the backlog.
    let bytes: usize =
        world.redis(redis::cmd("HGET").arg(format!("{{{}}}:backlog", world.namespace)).arg("bytes")).await;
    let size: usize = world.redis(redis::cmd("STRLEN").arg(&keys[0])).await;
    assert!(size > 1300 && bytes > 2 * size, "{bytes} bytes of two prompts with {size} each");
    // Who ends without a job leaves none behind either.
    world.cancel(&second).await;
    assert_eq!(world.eventually_ends(&second).await["type"], "omni.cancelled");
    gone(&world).await;
    world.sim.release(world.sim.jobs()[0].id);
    world.eventually_answered(&first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_accepted_leaves_no_files_and_what_is_repeated_is_not_written_again() {
    let server = TestRedis::private().await;
    let world = World::with(Setting::on(server.url())).await;
    let writes = Writes::watch(&world).await;
    let ((one, _), (other, _)) = (file(1, 1000, "image/png", None), file(2, 1000, "image/png", None));
    let keyed = prompt(&json!({"attachments": [one], "conversation": "thread", "idempotencyKey": "k"}));
    let asked = world.ask_with(keyed.clone()).await;
    world.eventually_answered(&asked).await;
    assert_eq!(world.ask_with(keyed.clone()).await.id, asked.id);
    for (more, status) in [
        (json!({"attachments": [other], "idempotencyKey": "k"}), 422),
        (json!({"attachments": [one], "user": {"externalId": "emea-anna"}, "userId": null}), 409),
    ] {
        let mut body = keyed.clone();
        body.as_object_mut().unwrap().remove("idempotencyKey");
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(world.post(&body).await.status(), status, "{more}");
    }
    assert!(kept(&world).await.is_empty());
    assert_eq!(world.sim.jobs().len(), 1);
    assert_eq!(writes.count(&world).await, 1, "files of a prompt that was not accepted were written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_whose_files_are_lost_is_not_asked_without_them() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().held());
    let first = world.ask_in("line", "revenue by region").await;
    world.eventually_in(&first, "submitted").await;
    let (file, _) = file(1, 1000, "image/png", None);
    let second = world.ask_with(prompt(&json!({"attachments": [file], "conversation": "line"}))).await;
    let _: i64 = world.redis(redis::cmd("DEL").arg(&kept(&world).await[0])).await;
    world.sim.release(world.sim.jobs()[0].id);
    let end = world.eventually_ends(&second).await;
    assert_eq!((&end["type"], &end["data"]["error"]["code"]), (&json!("omni.failed"), &json!("attachments_lost")));
    assert_eq!(world.sim.jobs().len(), 1);
}

/// Ends up as a dead letter before Omni has a job of it.
async fn dies(world: &World, file: &Value) -> Asked {
    world.sim.fault(Fault::new("GET", "/Users", FaultKind::Status(503, None)).times(4));
    let body = json!({"attachments": [file], "user": {"externalId": "dana"}, "userId": null});
    let asked = world.ask_with(prompt(&body)).await;
    world.eventually_in(&asked, "dead").await;
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_keeps_its_files_for_a_replay_and_leaves_none_when_it_is_discarded() {
    let world = World::new().await;
    let (file, seen) = file(1, 1000, "image/gif", Some("a.gif"));
    let (first, second) = (dies(&world, &file).await, dies(&world, &file).await);
    let mut keys = kept(&world).await;
    assert_eq!(keys.len(), 2);
    for key in keys.drain(..) {
        let life: i64 = world.redis(redis::cmd("PTTL").arg(&key)).await;
        assert_eq!(life, -1, "{key}");
    }
    assert_eq!(world.discard(&second.id).await.0, 202);
    world.eventually_ends(&second).await;

    world.sim.set_default(Behaviour::new().held());
    assert_eq!(world.replay(&first.id).await.0, 202);
    world.eventually_in(&first, "submitted").await;
    let bytes: usize =
        text(&json!(world.record(&first.id).await), "backlog").split_once(' ').unwrap().0.parse().unwrap();
    assert!(bytes > 1300, "{bytes}: files do not count after a replay");
    let job = world.sim.jobs().remove(0);
    assert_eq!(job.attachments, [seen]);
    gone(&world).await;
    world.sim.release(job.id);
    world.eventually_answered(&first).await;
}

/// While the backlog is full a pushed prompt waits in its stream: its files are not written at every try.
#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_prompt_that_waits_for_room_writes_no_files_meanwhile() {
    let server = TestRedis::private().await;
    let setting = Setting::config(|sources| sources.with("backlog.prompts", "1"));
    let world = World::with(Setting { redis: Some(server.url()), ..setting }).await;
    let writes = Writes::watch(&world).await;
    world.sim.next_job(Behaviour::new().held());
    let first = world.ask_in("first", "revenue by region").await;
    world.eventually_in(&first, "submitted").await;
    let (file, seen) = file(1, 1000, "image/png", None);
    world.push(&prompt(&json!({"attachments": [file], "conversation": "second"})).to_string()).await;
    world.eventually_in_hand("intake").await;
    world.sim.release(world.sim.jobs()[0].id);
    eventually("it is answered", async || {
        let entries = world.entries("second").await;
        entries.into_iter().find(|entry| entry["type"] == "omni.answer")
    })
    .await;
    assert_eq!(world.sim.jobs()[1].attachments, [seen]);
    assert_eq!(writes.count(&world).await, 1, "its files were written while it waited");
}
