//! Webhooks that wait in the inbox until their answers are published and settled.

use std::time::Instant;

use anyhow::ensure;

use crate::Scale;
use crate::bed::{Bed, Running, eventually};
use crate::ceiling::{INBOX, OUT, emptied};
use crate::report::Report;
use crate::seed::{Prompt, add, submitted, told};
use crate::stub::Stub;

pub(crate) async fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let (bed, stub) = (Bed::start().await?, Stub::start().await?);
    for _ in 0..scale.rounds {
        let prompts = Prompt::many(scale.events);
        add(&bed, INBOX, &prompts, Prompt::body).await?;
        let consumer = bed.ceiling("consume", &stub.url).await?;
        turn(&bed, "ceiling", &consumer, INBOX, prompts.len(), report).await?;
        drop(consumer);
        ensure!(bed.ask::<usize>(&["XLEN", OUT]).await? == prompts.len(), "the ceiling lost some");
        bed.clear().await?;

        submitted(&bed, &prompts).await?;
        add(&bed, INBOX, &prompts, Prompt::body).await?;
        let consumer = bed.ceiling("promises", &stub.url).await?;
        turn(&bed, "promises", &consumer, INBOX, prompts.len(), report).await?;
        drop(consumer);
        answered(&bed, &prompts).await?;
        bed.clear().await?;

        submitted(&bed, &prompts).await?;
        told(&bed, &prompts).await?;
        let relay = bed.relay(&stub.url).await?;
        turn(&bed, "relay", &relay, &bed.store.keys().inbox, prompts.len(), report).await?;
        drop(relay);
        answered(&bed, &prompts).await?;
        bed.clear().await?;
    }
    Ok(())
}

/// Timed from when a tenth is done, as whoever starts has begun by then.
async fn turn(
    bed: &Bed,
    who: &'static str,
    server: &Running,
    inbox: &str,
    count: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let left = async || bed.ask::<usize>(&["XLEN", inbox]).await.ok();
    let tenth = async || left().await.filter(|left| *left <= count / 10 * 9);
    let timed = eventually("some are done", tenth).await?;
    let (before, began, commands) = (bed.used(server)?, Instant::now(), bed.commands().await?);
    emptied(bed, inbox).await?;
    let took = began.elapsed().as_secs_f64();
    let [cpu, redis] = bed.each(server, &before, timed)?;
    let commands = (bed.commands().await? - commands) as f64 / timed as f64;
    report.add(
        "process",
        who,
        &[("a second", timed as f64 / took), ("cpu µs", cpu), ("redis µs", redis), ("commands", commands)],
    );
    Ok(())
}

/// Every prompt has one terminal entry, and so have the answers.
async fn answered(bed: &Bed, prompts: &[Prompt]) -> anyhow::Result<()> {
    let keys = bed.store.keys();
    ensure!(bed.ask::<usize>(&["XLEN", &keys.answers]).await? == prompts.len(), "answers has not one entry a prompt");
    for some in prompts.chunks(500) {
        let mut pipe = redis::pipe();
        for prompt in some {
            pipe.cmd("XLEN").arg(keys.conversation(&prompt.conversation));
        }
        let entries: Vec<usize> = pipe.query_async(&mut bed.redis.clone()).await?;
        ensure!(entries.iter().all(|count| *count == 1), "a conversation has not one entry");
    }
    Ok(())
}
