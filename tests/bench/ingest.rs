//! Signed webhooks over HTTP until Redis holds them; nothing is made of them meanwhile.

use anyhow::ensure;
use bytes::Bytes;

use crate::Scale;
use crate::bed::{Bed, Running};
use crate::ceiling::INBOX;
use crate::load::{Found, send};
use crate::report::Report;
use crate::seed::Prompt;

/// Of an open loop, a second.
const RATE: f64 = 2_000.0;

pub(crate) async fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    for _ in 0..scale.rounds {
        let requests: Vec<Bytes> = Prompt::many(scale.events).iter().map(Prompt::webhook).collect();
        let receiver = bed.ceiling("receive", "").await?;
        turn(&bed, "ceiling", &receiver, INBOX, &requests, report).await?;
        drop(receiver);
        bed.clear().await?;
        bed.pause("process").await?;
        let relay = bed.relay("http://127.0.0.1:9").await?;
        turn(&bed, "relay", &relay, &bed.store.keys().inbox, &requests, report).await?;
        drop(relay);
        bed.clear().await?;
    }
    Ok(())
}

async fn turn(
    bed: &Bed,
    who: &'static str,
    server: &Running,
    inbox: &str,
    requests: &[Bytes],
    report: &mut Report,
) -> anyhow::Result<()> {
    let (warm, rest) = requests.split_at(requests.len() / 10);
    let (closed, open) = rest.split_at(rest.len() / 4 * 3);
    send(server.address(), warm, None).await?;
    let before = bed.used(server)?;
    let found = send(server.address(), closed, None).await?;
    let [cpu, redis] = bed.each(server, &before, closed.len())?;
    let steady: Found = send(server.address(), open, Some(RATE)).await?;
    let stored: usize = bed.ask(&["XLEN", inbox]).await?;
    ensure!(found.good == closed.len() && stored == requests.len(), "{} of {} are stored", stored, requests.len());
    // What came before is known.
    let again = send(server.address(), &requests[..requests.len() / 5], None).await?;
    ensure!(again.good == requests.len() / 5 && bed.ask::<usize>(&["XLEN", inbox]).await? == stored, "stored twice");
    report.add(
        "ingest",
        who,
        &[
            ("a second", found.rate()),
            ("p99 µs, closed", found.quantile(0.99)),
            ("p50 µs, 2,000/s", steady.quantile(0.5)),
            ("p99 µs, 2,000/s", steady.quantile(0.99)),
            ("cpu µs", cpu),
            ("redis µs", redis),
        ],
    );
    Ok(())
}
