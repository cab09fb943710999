//! `deploy/redis.acl`: its users can do all that the relay, or each of its roles, does, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use omni_relay::pipeline::reconcile::Tuning;
use omni_relay::simulator::{Behaviour, Fault, FaultKind, User};
use serde_json::{Value, json};

use super::forms::core_story;
use crate::redis::TestRedis;
use crate::roles::APART;
use crate::world::{ALL, Setting, World, eventually};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/redis.acl")
}

/// A world whose relay is the user `relay`, or whose processes are the users of their roles; tests look at it as the default
/// user.
async fn world(url: &str, processes: &'static [&'static str]) -> World {
    let ms = Duration::from_millis;
    let tuning =
        Tuning { lookups: (ms(150), ms(400)), slowest: ms(300), insist: ms(300), idle: ms(10), ..Tuning::default() };
    let server = url.to_owned();
    let setting = Setting::config(move |sources| {
        let user = match sources.env["OMNI_RELAY__ROLES"].as_str() {
            ALL => "relay".to_owned(),
            role => format!("relay-{role}"),
        };
        let url = server.replace("redis://", &format!("redis://{user}:any@"));
        sources.with("redis.url", url).with("reconcile.after", "300ms").with("pipeline.claim_after", "300ms")
    });
    let (redis, namespace) = (Some(url.to_owned()), Some("relay".to_owned()));
    World::with(Setting { redis, namespace, tuning, processes, ..setting }).await
}

async fn on<T: redis::FromRedisValue>(url: &str, line: &str) -> redis::RedisResult<T> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    command.query_async(&mut connection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relays_user_has_every_right_that_it_uses() {
    nothing_is_denied(&[ALL]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_has_every_right_that_it_uses() {
    nothing_is_denied(&APART).await;
}

async fn nothing_is_denied(processes: &'static [&'static str]) {
    let server = TestRedis::private_as(&file()).await;
    let url = server.url();
    let mut world = world(&url, processes).await;
    core_story(&world).await;

    // A webhook that nobody understands, one that never comes, and a create whose answer is lost.
    assert_eq!(world.webhook(br#"{"hello":"world"}"#).await.status(), 200);
    world.sim.next_job(Behaviour::new().never());
    let quiet = world.ask("revenue by quarter").await;
    world.eventually_answered(&quiet).await;
    world.sim.next_job(Behaviour::new().dropped().never());
    let lost = world.ask("revenue by product").await;
    world.eventually_answered(&lost).await;
    // A refusal for now, and somebody who does not want to wait.
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(1))).times(1));
    let refused = world.ask("revenue by shop").await;
    world.eventually_answered(&refused).await;
    world.sim.next_job(Behaviour::new().held());
    let curious = json!({"prompt": "revenue by town", "conversation": "line", "progress": true});
    let running = world.ask_with(curious).await;
    let waiting = world.ask_in("line", "and by street").await;
    world.eventually_in(&running, "submitted").await;
    let metadata = json!({"promptId": running.id, "conversation": running.conversation});
    let report = json!({"jobId": world.record(&running.id).await["jobId"], "status": "EXECUTING", "metadata": metadata,
                        "progress": {"iteration": 1}});
    assert_eq!(world.webhook(report.to_string().as_bytes()).await.status(), 200);
    let told = world.entries("line").await;
    assert!(told.iter().any(|entry| entry["type"] == "omni.job.progress"), "{told:?}");
    for asked in [&waiting, &running] {
        world.cancel(asked).await;
        assert_eq!(world.eventually_ends(asked).await["type"], "omni.cancelled");
    }
    // A user who is found, remembered, gone, and nobody then.
    let anna = json!({"prompt": "revenue by week", "user": {"externalId": "emea-anna"}});
    for known in [true, false] {
        let asked = world.ask_with(anna.clone()).await;
        let kind = if known { "omni.answer" } else { "omni.failed" };
        assert_eq!(world.eventually_ends(&asked).await["type"], kind);
        world.sim.remove_user("emea-anna");
    }
    // Dead letters: listed, replayed, discarded; and entries that nobody can read.
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(8));
    let dead = [world.ask("revenue by hour").await, world.ask("revenue by minute").await];
    for asked in &dead {
        world.eventually_in(asked, "dead").await;
    }
    let listed: Value = world.get("/v1/dead-letters?limit=1").await.json().await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(world.replay(&dead[0].id).await, (202, json!("replayed")));
    world.eventually_answered(&dead[0]).await;
    assert_eq!(world.discard(&dead[1].id).await, (202, json!("discarded")));
    world.eventually_ends(&dead[1]).await;
    world.push("no JSON").await;
    let _: String = world.redis(redis::cmd("XADD").arg("{relay}:inbox").arg("*").arg("entry").arg("?")).await;
    eventually("two letters", async || (world.letters().await.len() == 2).then_some(())).await;
    // All of them at once.
    let run = json!({"action": "replay", "dryRun": true}).to_string();
    let asked = world.http.post(format!("{}/v1/dead-letter-runs", world.url)).body(run).send().await.unwrap();
    assert_eq!(asked.status(), 202);
    let run: Value = asked.json().await.unwrap();
    let run = format!("/v1/dead-letter-runs/{}", run["id"].as_str().unwrap());
    eventually("the run's end", async || {
        let run: Value = world.get(&run).await.json().await.unwrap();
        (run["state"] == "done").then_some(())
    })
    .await;

    // A tenant held back and let go, and somebody who asks why.
    for path in ["tenants/acme/pause", "tenants/acme/resume"] {
        assert_eq!(world.http.post(format!("{}/v1/{path}", world.url)).send().await.unwrap().status(), 200);
    }
    for id in [&running.id, &waiting.conversation] {
        assert_eq!(world.get(&format!("/v1/explain/{id}")).await.status(), 200);
    }
    assert_eq!(world.http.post(format!("{}/v1/doctor", world.url)).send().await.unwrap().status(), 200);

    more_prompts_than_handlers(&world).await;
    left_behind(&mut world).await;
    let denied: Vec<redis::Value> = on(&url, "ACL LOG").await.unwrap();
    assert!(denied.is_empty(), "{denied:#?}");
    assert_eq!(world.get("/readyz").await.status(), 200);
}

/// Some wait for their tenant's turn.
async fn more_prompts_than_handlers(world: &World) {
    let mut many = Vec::new();
    world.sim.fault(Fault::new("POST", "/jobs", FaultKind::Status(429, Some(1))).times(4));
    for n in 0..40 {
        many.push(world.ask(&format!("revenue by region {n}")).await);
    }
    for asked in &many {
        world.eventually_answered(asked).await;
    }
}

/// An entry that a dead replica left is taken over; so is one that is deleted by now.
async fn left_behind(world: &mut World) {
    let _ = world.stop().await;
    let body = json!({"v": 1, "promptId": uuid::Uuid::now_v7()}).to_string();
    for _ in 0..2 {
        let _: String = world.redis(redis::cmd("XADD").arg("{relay}:prompts").arg("*").arg("entry").arg(&body)).await;
    }
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("relay").arg("gone").arg("STREAMS").arg("{relay}:prompts").arg(">");
    let read: redis::streams::StreamReadReply = world.redis(&read).await;
    let _: usize = world.redis(redis::cmd("XDEL").arg("{relay}:prompts").arg(&read.keys[0].ids[1].id)).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    world.start().await;
    eventually("they are taken over", async || {
        let pending: redis::streams::StreamPendingReply =
            world.redis(redis::cmd("XPENDING").arg("{relay}:prompts").arg("relay")).await;
        (pending.count() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_the_relay_does_not_need_is_refused() {
    let server = TestRedis::private_as(&file()).await;
    let as_user = |user: &str| server.url().replace("redis://", &format!("redis://{user}:any@"));
    let refused = async |user: &str, line: &str| {
        let error = on::<redis::Value>(&as_user(user), line).await.expect_err(line);
        assert_eq!(error.code(), Some("NOPERM"), "{user}: {line}: {error}");
    };
    for line in [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "CONFIG GET *",
        "CONFIG SET appendonly no",
        "ACL LIST",
        "CLIENT LIST",
        "MONITOR",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "SCRIPT FLUSH",
        "XGROUP DESTROY {relay}:inbox relay",
        "GET other",
        "GET {other}:prompt:1",
        "SET relay 1",
        "HGETALL {relay2}:prompt:1",
        "PUBLISH other:wake x",
        "SUBSCRIBE other:wake",
    ] {
        refused("relay", line).await;
    }
    for line in
        ["XADD {relay}:prompts * entry x", "HGETALL {relay}:prompt:1", "XDEL {relay}:intake 1-1", "DEL {relay}:answers"]
    {
        refused("worker", line).await;
    }
    refused("probe", "GET {relay}:inbox").await;
    // What another role does.
    for (role, lines) in [
        (
            "receive",
            &[
                "XADD {relay}:prompts * entry x",
                "XRANGE {relay}:inbox - +",
                "XDEL {relay}:inbox 1-1",
                "GET {relay}:user:x",
                "SUBSCRIBE relay:wake",
            ][..],
        ),
        (
            "submit",
            &["SET {relay}:seen:event:x 1", "XADD {relay}:audit * who x", "GET {relay}:mcp:x", "HGETALL {relay}:run:1"],
        ),
        (
            "process",
            &[
                "XADD {relay}:unhandled * body x",
                "SET {relay}:intake:lease x",
                "GET {relay}:idempotency::x",
                "ZRANGE {relay}:runs 0 -1",
            ],
        ),
        ("api", &["XREADGROUP GROUP relay me STREAMS {relay}:inbox >", "XCLAIM {relay}:prompts relay me 0 1-1"]),
    ] {
        for line in lines.iter().chain(&["FLUSHALL", "CONFIG GET *", "KEYS *", "GET other", "PUBLISH other:wake x"]) {
            refused(&format!("relay-{role}"), line).await;
        }
    }
    let _: String = on(&as_user("worker"), "XADD {relay}:intake * data {}").await.unwrap();
    // What the README's workers ask.
    let worker = redis::Client::open(as_user("worker")).unwrap();
    let mut worker = worker.get_multiplexed_async_connection().await.unwrap();
    let (answers, group, done) = ("{relay}:answers", "posts", "{relay}:answers:posts:done:1:omni.answer");
    let mut ask = redis::pipe();
    ask.cmd("INFO").ignore();
    ask.cmd("XGROUP").arg("CREATE").arg(answers).arg(group).arg("0").arg("MKSTREAM").ignore();
    ask.cmd("XAUTOCLAIM").arg(answers).arg(group).arg("me").arg(60_000).arg("0").ignore();
    ask.cmd("XREADGROUP").arg("GROUP").arg(group).arg("me").arg("STREAMS").arg(answers).arg(">").ignore();
    ask.cmd("EXISTS").arg(done).ignore();
    ask.query_async::<()>(&mut worker).await.unwrap();
    let mut settle = redis::pipe();
    settle.atomic().cmd("SET").arg(done).arg(1).arg("EX").arg(60).ignore();
    settle.cmd("XACK").arg(answers).arg(group).arg("1-1").ignore();
    settle.query_async::<()>(&mut worker).await.unwrap();
    assert_eq!(on::<String>(&as_user("probe"), "PING").await.unwrap(), "PONG");
    // A script has the rights of whoever runs it.
    let sha: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg("return redis.call('GET', 'other')")
        .query_async(
            &mut redis::Client::open(as_user("relay")).unwrap().get_multiplexed_async_connection().await.unwrap(),
        )
        .await
        .unwrap();
    let error = on::<redis::Value>(&as_user("relay"), &format!("EVALSHA {sha} 0")).await.unwrap_err();
    let denied: Vec<Vec<redis::Value>> = on(&server.url(), "ACL LOG 1").await.unwrap();
    let denied = format!("{:?}", denied[0]);
    assert!(denied.contains("\"lua\"") && denied.contains("\"other\""), "{error}, {denied}");
}

/// Neither a command that the source uses and the file lacks, nor one that it grants for nothing.
#[test]
fn the_rights_are_those_that_the_source_uses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut used = BTreeSet::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("embedded") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for start in ["cmd(\"", "redis.call('", "redis.pcall('"] {
                let words = text.split(start).skip(1).map(|rest| rest.split(['"', '\'']).next().unwrap());
                used.extend(words.map(str::to_lowercase));
            }
        }
    }
    // What the client library says by itself: on connecting, in subscribing, in running scripts.
    used.extend(["select", "subscribe", "evalsha", "script"].map(str::to_owned));
    // Asked of sentinels, not of servers.
    used.remove("sentinel");
    let text = std::fs::read_to_string(file()).unwrap();
    let granted = |user: &str| -> BTreeSet<&str> {
        let line = text.lines().find(|line| line.starts_with(&format!("user {user} "))).unwrap();
        line.split(' ').filter_map(|word| word.strip_prefix('+')).collect()
    };
    let relay = granted("relay");
    let commands: BTreeSet<String> =
        relay.iter().map(|command| command.split('|').next().unwrap().to_owned()).collect();
    assert_eq!(commands, used);
    let roles: BTreeSet<&str> = APART.iter().flat_map(|role| granted(&format!("relay-{role}"))).collect();
    assert_eq!(roles, relay, "each is some role's, and no role has another");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_without_a_right_says_so_and_is_not_ready() {
    let server = TestRedis::private_as(&file()).await;
    let _: String = on(&server.url(), "ACL SETUSER relay -ping").await.unwrap();
    let mut world = world(&server.url(), &[ALL]).await;
    eventually("it is not ready", async || (world.get("/readyz").await.status() == 503).then_some(())).await;
    let _: String = on(&server.url(), "ACL SETUSER relay +ping").await.unwrap();
    let dana = User::new("dana", "Dana");
    let asked = world.ask_with(json!({"prompt": "revenue?", "userId": dana.id.to_string()})).await;
    world.eventually_answered(&asked).await;
    let _ = world.stop().await;
}
