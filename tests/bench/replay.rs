//! Dead letters that are replayed in bulk, as fast as it goes.

use std::time::Instant;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Scale;
use crate::bed::{Bed, eventually};
use crate::report::Report;

pub(crate) async fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    for _ in 0..scale.rounds {
        bed.pause("process").await?;
        dead(&bed, scale.events).await?;
        let relay = bed.relay("http://127.0.0.1:9").await?;
        let (http, before, began) = (reqwest::Client::new(), bed.used(&relay)?, Instant::now());
        let order = json!({"action": "replay", "filter": {}, "rate": 0});
        let made = http.post(format!("{}/v1/dead-letter-runs", relay.url)).json(&order).send().await?;
        let made: Value = made.error_for_status()?.json().await?;
        let all = async || (bed.ask::<usize>(&["ZCARD", &bed.store.keys().dead]).await.ok()? == 0).then_some(());
        eventually("every letter is replayed", all).await?;
        let took = began.elapsed().as_secs_f64();
        let [cpu, redis] = bed.each(&relay, &before, scale.events)?;
        let waiting: usize = bed.ask(&["XLEN", &bed.store.keys().inbox]).await?;
        ensure!(waiting == scale.events, "{waiting} of {} stand in the stage's stream", scale.events);
        let run = made["id"].as_str().context("a run")?.to_owned();
        let counted = async || {
            let run = http.get(format!("{}/v1/dead-letter-runs/{run}", relay.url)).send().await.ok()?;
            let run: Value = run.json().await.ok()?;
            (run["state"] != "running").then_some(run)
        };
        let run = eventually("the run ends", counted).await?;
        ensure!(run.to_string().contains(&format!("\"replayed\":{}", scale.events)), "it counted otherwise: {run}");
        report.add(
            "replay",
            "relay",
            &[("a second", scale.events as f64 / took), ("cpu µs", cpu), ("redis µs", redis)],
        );
        drop(relay);
        bed.clear().await?;
    }
    Ok(())
}

/// Writes open letters of entries of the process stage.
pub(crate) async fn dead(bed: &Bed, count: usize) -> anyhow::Result<()> {
    let (keys, at) = (bed.store.keys(), Timestamp::now().as_millisecond());
    for some in (0..count).collect::<Vec<_>>().chunks(500) {
        let mut pipe = redis::pipe();
        for place in some {
            let id = format!("process-{at}-{place}");
            pipe.cmd("HSET").arg(keys.letter(&id)).arg("v").arg("1").arg("id").arg(&id).arg("stage").arg("process");
            pipe.arg("reason").arg("retries_exhausted").arg("error").arg("timed out").arg("attempts").arg(4);
            pipe.arg("fingerprint").arg("f").arg("firstAt").arg(at).arg("lastAt").arg(at);
            pipe.arg("original").arg("{}").arg("history").arg("[]").ignore();
            pipe.cmd("ZADD").arg(&keys.dead).arg(at).arg(&id).ignore();
        }
        pipe.query_async::<()>(&mut bed.redis.clone()).await?;
    }
    Ok(())
}
