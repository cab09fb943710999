//! How a Cluster shares the load of one relay: conversations lie with every master, the control plane with one.
//! `cargo test --all-features --test it -- --ignored --nocapture store::spread`.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt, stream};
use redis::aio::MultiplexedConnection;
use serde_json::Value;

use super::forms::{alone, world};
use crate::redis::Cluster;
use crate::world::{Asked, World, is_terminal};

const CONVERSATIONS: usize = 600;
const PROMPTS: usize = 1200;
/// Programs that ask side by side.
const PROGRAMS: usize = 32;
/// What each of three masters may hold of the conversations, in percent.
const BAND: std::ops::RangeInclusive<f64> = 29.0..=38.0;

/// What one master has done and holds.
#[derive(Default)]
struct Load {
    commands: f64,
    cpu_ms: f64,
    scripts: f64,
    scripts_us: f64,
    clients: f64,
    /// Keys and bytes of the control plane, and of conversations.
    control: (f64, f64),
    data: (f64, f64),
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn conversations_lie_with_every_master_and_the_control_plane_with_one() {
    let _alone = alone().await;
    let cluster = Cluster::start().await;
    let world = world(cluster.url(), 0).await;
    let before = loads(&cluster, &world).await;
    let began = std::time::Instant::now();
    let asked: Vec<Asked> = stream::iter(0..PROMPTS).map(|n| ask(&world, n)).buffer_unordered(PROGRAMS).collect().await;
    let took = began.elapsed();
    let mut after = loads(&cluster, &world).await;
    for (after, before) in after.iter_mut().zip(before) {
        after.commands -= before.commands;
        after.cpu_ms -= before.cpu_ms;
        after.scripts -= before.scripts;
        after.scripts_us -= before.scripts_us;
    }
    println!("{PROMPTS} prompts in {CONVERSATIONS} conversations, answered in {took:?}; shares in percent");
    print(&after);
    each_once(&world, &asked).await;

    let holders = after.iter().filter(|load| load.control.0 > 0.0).count();
    assert_eq!(holders, 1, "masters that hold keys of the control plane");
    for (what, shares) in [("keys", shares(&after, |load| load.data.0)), ("bytes", shares(&after, |load| load.data.1))]
    {
        assert!(shares.iter().all(|share| BAND.contains(share)), "{what} of conversations, in percent: {shares:?}");
    }
}

/// Asks, and waits for the end.
async fn ask(world: &World, n: usize) -> Asked {
    let asked = world.ask_in(&format!("thread-{}", n % CONVERSATIONS), &format!("revenue by region, take {n}")).await;
    let object: Value = world.get(&format!("/v1/prompts/{}?wait=60", asked.id)).await.json().await.unwrap();
    assert_eq!(object["phase"], "answered", "{object}");
    asked
}

/// Nothing is missing, and nothing is there twice: at Omni, for readers, for workers.
async fn each_once(world: &World, asked: &[Asked]) {
    let mut wanted: Vec<&str> = asked.iter().map(|asked| asked.id.as_str()).collect();
    wanted.sort_unstable();
    assert_eq!(world.sim.jobs().len(), PROMPTS, "jobs at Omni");
    let mut published = Vec::new();
    for n in 0..CONVERSATIONS {
        published.extend(ends(world.entries(&format!("thread-{n}")).await));
    }
    published.sort_unstable();
    assert!(published == wanted, "{} ends for {PROMPTS} prompts", published.len());
    let mut answers = ends(world.answers().await);
    answers.sort_unstable();
    assert!(answers == wanted, "{} answers for workers, for {PROMPTS} prompts", answers.len());
}

fn ends(entries: Vec<Value>) -> Vec<String> {
    let ends = entries.into_iter().filter(is_terminal);
    ends.map(|entry| entry["data"]["promptId"].as_str().unwrap().to_owned()).collect()
}

async fn loads(cluster: &Cluster, world: &World) -> Vec<Load> {
    let mut loads = Vec::new();
    for mut master in cluster.masters().await {
        loads.push(load(&mut master, &world.namespace).await);
    }
    loads
}

async fn load(master: &mut MultiplexedConnection, namespace: &str) -> Load {
    let info: String = redis::cmd("INFO").arg("all").query_async(master).await.unwrap();
    let fields: HashMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
    let number = |name: &str| -> f64 { fields[name].parse().unwrap() };
    let scripts = fields.get("cmdstat_evalsha").copied().unwrap_or("calls=0,usec=0");
    let scripts: BTreeMap<&str, &str> = scripts.split(',').filter_map(|part| part.split_once('=')).collect();
    let mut load = Load {
        commands: number("total_commands_processed"),
        cpu_ms: (number("used_cpu_user") + number("used_cpu_sys")) * 1000.0,
        scripts: scripts["calls"].parse().unwrap(),
        scripts_us: scripts["usec"].parse().unwrap(),
        clients: number("connected_clients"),
        ..Load::default()
    };
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(master).await.unwrap();
    let mut sizes = redis::pipe();
    for key in &keys {
        sizes.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0);
    }
    let sizes: Vec<Option<f64>> = if keys.is_empty() { Vec::new() } else { sizes.query_async(master).await.unwrap() };
    for (key, bytes) in keys.iter().zip(sizes) {
        let plane = if key.starts_with(&format!("{{{namespace}}}:")) {
            &mut load.control
        } else {
            assert!(key.starts_with(&format!("{namespace}:conversation:{{thread-")), "{key} is of neither plane");
            &mut load.data
        };
        *plane = (plane.0 + 1.0, plane.1 + bytes.unwrap_or_default());
    }
    load
}

fn shares(loads: &[Load], of: impl Fn(&Load) -> f64) -> Vec<f64> {
    let whole: f64 = loads.iter().map(&of).sum();
    loads.iter().map(|load| 100.0 * of(load) / whole).collect()
}

type Figure = (&'static str, fn(&Load) -> f64);

fn print(loads: &[Load]) {
    let rows: [Figure; 9] = [
        ("commands, those of scripts too", |load| load.commands),
        ("CPU, ms", |load| load.cpu_ms),
        ("scripts", |load| load.scripts),
        ("scripts, us", |load| load.scripts_us),
        ("connections, one to look", |load| load.clients),
        ("keys of the control plane", |load| load.control.0),
        ("its bytes", |load| load.control.1),
        ("keys of conversations", |load| load.data.0),
        ("their bytes", |load| load.data.1),
    ];
    for (name, of) in rows {
        let values: Vec<String> = loads
            .iter()
            .zip(shares(loads, of))
            .map(|(load, share)| format!("{:>9.0} ({share:3.0})", of(load)))
            .collect();
        println!("  {name:<31} {}", values.join(" "));
    }
}
