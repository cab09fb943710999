//! Answers per minute and key under Omni's limit of 60 requests a minute, over an hour on the clock:
//! `cargo test --all-features --test it -- --ignored --nocapture answers_per_minute`.
//!
//! One line per setting: replicas, how long a request is on its way, whether webhooks come; then what was answered and
//! turned away. A standing backlog keeps the relay from ever running dry.

use std::time::Duration;

use omni_relay::config::Sources;
use omni_relay::simulator::Behaviour;
use tokio::time::Instant;

use crate::redis::TestRedis;
use crate::world::{Asked, Setting, World};

/// Prompts that wait at every time.
const BACKLOG: usize = 2_000;
const JOB: Duration = Duration::from_secs(30);

struct Case {
    name: &'static str,
    replicas: usize,
    latency: (u64, u64),
    webhooks: Webhooks,
}

#[derive(PartialEq)]
enum Webhooks {
    Come,
    AreLost,
    AreNotAsked,
}

const CASES: &[Case] = &[
    Case { name: "1 replica, 10 ms", replicas: 1, latency: (10, 10), webhooks: Webhooks::Come },
    Case { name: "1 replica, 10 to 400 ms", replicas: 1, latency: (10, 400), webhooks: Webhooks::Come },
    Case { name: "3 replicas, 10 to 400 ms", replicas: 3, latency: (10, 400), webhooks: Webhooks::Come },
    Case { name: "every webhook lost", replicas: 1, latency: (10, 400), webhooks: Webhooks::AreLost },
    Case { name: "no webhook asked for", replicas: 1, latency: (10, 400), webhooks: Webhooks::AreNotAsked },
];

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "asks how long to run")]
#[ignore = "takes as long as OMNI_RELAY_SOAK says, an hour by default"]
async fn answers_per_minute_and_key() {
    let minutes: u64 = std::env::var("OMNI_RELAY_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let runs = CASES.iter().map(|case| measure(case, Duration::from_mins(minutes)));
    for line in futures_util::future::join_all(runs).await {
        println!("{line}");
    }
}

async fn measure(case: &Case, time: Duration) -> String {
    let redis = TestRedis::private().await;
    let quiet = case.webhooks == Webhooks::AreNotAsked;
    let adjust = move |sources: Sources| {
        let sources = sources
            .with("omni.requests_per_minute", "60")
            .with("jobs.max_wait", "24h")
            .with("pipeline.claim_after", "15s");
        if quiet { sources.with("webhook.public_url", "").with("webhook.secrets", "") } else { sources }
    };
    let setting = Setting {
        redis: Some(redis.url()),
        requests_per_minute: 60,
        jobs: JOB..=JOB,
        latency: Duration::from_millis(case.latency.0)..=Duration::from_millis(case.latency.1),
        adjust: Box::new(adjust),
        ..Setting::default()
    };
    let mut world = World::with(setting).await;
    if case.webhooks == Webhooks::AreLost {
        world.sim.set_default(Behaviour::new().never());
    }
    let mut replicas = Vec::new();
    for _ in 1..case.replicas {
        replicas.push(world.replica().await);
    }
    let mut asked = Vec::new();
    let started = Instant::now();
    let mut reported = started;
    let mut answers = 0;
    while started.elapsed() < time {
        let created = world.sim.jobs().len();
        while asked.len() < created + BACKLOG {
            asked.push(world.ask("revenue by region").await);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        answers = answered(&world).await;
        if reported.elapsed() > Duration::from_mins(5) {
            reported = Instant::now();
            let seconds = started.elapsed().as_secs_f64();
            println!("{}: {answers} answers after {seconds:.0} s, 429: {}", case.name, throttled(&world));
        }
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    let (median, longest, ends) = times(&world, &asked).await;
    let line = format!(
        "{:<26} {:5.2} answers/min, {answers} answers in {minutes:.1} min, {} requests, 429: {}, other ends: {ends}, \
         job to entry: median {median:.1} s, longest {longest:.1} s",
        case.name,
        f64::from(answers) / minutes,
        world.sim.requests().len(),
        throttled(&world),
    );
    // What waits is left behind with its Redis.
    let _ = world.stop().await;
    for replica in replicas {
        let _ = replica.stop(Duration::from_secs(5)).await;
    }
    line
}

async fn answered(world: &World) -> u32 {
    world.redis(redis::cmd("XLEN").arg(format!("{{{}}}:answers", world.namespace))).await
}

fn throttled(world: &World) -> usize {
    world.sim.requests().iter().filter(|request| request.status == Some(429)).count()
}

/// From the end of a job to its entry, in seconds: the median and the longest; and how many prompts ended otherwise.
async fn times(world: &World, asked: &[Asked]) -> (f64, f64, usize) {
    let (mut times, mut others) = (Vec::new(), 0);
    for asked in asked {
        let record = world.record(&asked.id).await;
        let at = |phase: &str| record[&format!("at:{phase}")].parse::<f64>().unwrap();
        match record["phase"].as_str() {
            "answered" => times.push((at("answered") - at("submitted")) / 1000.0 - JOB.as_secs_f64()),
            "failed" | "cancelled" | "expired" | "dead" => others += 1,
            _ => {}
        }
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() - 1], others)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes five minutes"]
async fn from_the_end_of_a_job_to_its_entry_without_webhooks() {
    let (one, twenty) = futures_util::future::join(delays(1, 8), delays(20, 2)).await;
    println!("{one}\n{twenty}");
}

/// Asks `at_once` prompts, `rounds` times, and waits for all of them each time.
async fn delays(at_once: usize, rounds: usize) -> String {
    let adjust = |sources: Sources| {
        let sources = sources.with("webhook.public_url", "").with("webhook.secrets", "");
        sources.with("omni.requests_per_minute", "60").with("pipeline.claim_after", "15s")
    };
    let setting = Setting {
        requests_per_minute: 60,
        latency: Duration::from_millis(10)..=Duration::from_millis(400),
        adjust: Box::new(adjust),
        ..Setting::default()
    };
    let world = World::with(setting).await;
    let (mut delays, mut durations) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut asked = Vec::new();
        for _ in 0..at_once {
            let duration = Duration::from_millis(fastrand::u64(15_000..45_000));
            durations.push(duration);
            world.sim.next_job(Behaviour::new().slow(duration));
            asked.push(world.ask("revenue by region").await);
        }
        while answered(&world).await < u32::try_from(delays.len() + at_once).unwrap() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for one in asked {
            let record = world.record(&one.id).await;
            let at = |phase: &str| record[&format!("at:{phase}")].parse::<f64>().unwrap() / 1000.0;
            let job = world.sim.job(record["jobId"].parse().unwrap()).unwrap();
            delays.push(at("answered") - at("submitted") - durations[job.order].as_secs_f64());
        }
        // Each round finds an idle budget.
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    delays.sort_by(f64::total_cmp);
    format!(
        "{at_once:2} jobs at once: median {:.1} s, longest {:.1} s",
        delays[delays.len() / 2],
        delays[delays.len() - 1]
    )
}
