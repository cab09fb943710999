//! Prompts over HTTP until they are ours; none is submitted meanwhile. The ceiling is the receiver of `ingest`.

use anyhow::ensure;
use bytes::Bytes;

use crate::Scale;
use crate::bed::{Bed, Running};
use crate::load::{request, send};
use crate::report::Report;
use crate::seed::{Prompt, question};

pub(crate) async fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    for _ in 0..scale.rounds {
        let webhooks: Vec<Bytes> = Prompt::many(scale.events).iter().map(Prompt::webhook).collect();
        let receiver = bed.ceiling("receive", "").await?;
        turn(&bed, "ceiling", &receiver, &webhooks, report).await?;
        drop(receiver);
        bed.clear().await?;
        bed.pause("submit").await?;
        let relay = bed.relay("http://127.0.0.1:9").await?;
        let prompts = vec![request("POST", "/v1/prompts", &[], &question()); scale.events];
        turn(&bed, "relay", &relay, &prompts, report).await?;
        drop(relay);
        let held: usize = bed.ask(&["HGET", &bed.store.keys().backlog, "prompts"]).await?;
        ensure!(held == prompts.len(), "{held} of {} are in the backlog", prompts.len());
        bed.clear().await?;
    }
    Ok(())
}

async fn turn(
    bed: &Bed,
    who: &'static str,
    server: &Running,
    requests: &[Bytes],
    report: &mut Report,
) -> anyhow::Result<()> {
    let (warm, rest) = requests.split_at(requests.len() / 10);
    send(server.address(), warm, None).await?;
    let (before, commands) = (bed.used(server)?, bed.commands().await?);
    let found = send(server.address(), rest, None).await?;
    let [cpu, redis] = bed.each(server, &before, rest.len())?;
    let commands = (bed.commands().await? - commands) as f64 / rest.len() as f64;
    ensure!(found.good == rest.len(), "{} of {} were accepted", found.good, rest.len());
    report.add(
        "accept",
        who,
        &[
            ("a second", found.rate()),
            ("p99 µs", found.quantile(0.99)),
            ("cpu µs", cpu),
            ("redis µs", redis),
            ("commands", commands),
        ],
    );
    Ok(())
}
