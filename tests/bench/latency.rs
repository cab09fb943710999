//! One event in flight: from the POST of its webhook until a blocked XREAD has its entry, the GET of the result included.

use std::time::Instant;

use anyhow::ensure;
use hdrhistogram::Histogram;
use redis::streams::StreamReadReply;

use crate::Scale;
use crate::bed::{Bed, Running, connect};
use crate::ceiling::OUT;
use crate::load::Connection;
use crate::report::Report;
use crate::seed::{Prompt, submitted};
use crate::stub::Stub;

pub(crate) async fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let (bed, stub) = (Bed::start().await?, Stub::start().await?);
    for _ in 0..scale.rounds {
        let prompts = Prompt::many(scale.events / 20);
        let (receiver, consumer) = (bed.ceiling("receive", "").await?, bed.ceiling("consume", &stub.url).await?);
        turn(&bed, "ceiling", &receiver, &prompts, |_| OUT.to_owned(), report).await?;
        drop((receiver, consumer));
        bed.clear().await?;

        let stream = |prompt: &Prompt| bed.store.keys().conversation(&prompt.conversation);
        submitted(&bed, &prompts).await?;
        let (receiver, consumer) = (bed.ceiling("receive", "").await?, bed.ceiling("promises", &stub.url).await?);
        turn(&bed, "promises", &receiver, &prompts, stream, report).await?;
        drop((receiver, consumer));
        bed.clear().await?;

        submitted(&bed, &prompts).await?;
        let relay = bed.relay(&stub.url).await?;
        turn(&bed, "relay", &relay, &prompts, stream, report).await?;
        drop(relay);
        bed.clear().await?;
    }
    Ok(())
}

async fn turn(
    bed: &Bed,
    who: &'static str,
    receiver: &Running,
    prompts: &[Prompt],
    stream: impl Fn(&Prompt) -> String,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut times = Histogram::<u64>::new(3)?;
    let mut http = Connection::open(receiver.address()).await?;
    let reading = connect(&redis::Client::open(bed.url.as_str())?).await?;
    for prompt in prompts {
        let (stream, request) = (stream(prompt), prompt.webhook());
        let newest: usize = bed.ask(&["XLEN", &stream]).await?;
        let from = if newest == 0 { "0" } else { "$" };
        let mut read = redis::cmd("XREAD");
        read.arg("BLOCK").arg(10_000).arg("STREAMS").arg(&stream).arg(from);
        let (mut reading, began) = (reading.clone(), Instant::now());
        let seen = async move {
            read.query_async::<Option<StreamReadReply>>(&mut reading).await.map(|seen| (seen, Instant::now()))
        };
        let sent = async {
            // The reader is blocked by then.
            tokio::task::yield_now().await;
            let at = Instant::now();
            http.exchange(&request).await.map(|status| (status, at))
        };
        let (seen, sent) = tokio::join!(seen, sent);
        let ((seen, at), (status, since)) = (seen?, sent?);
        ensure!(seen.is_some() && status == 200, "no entry within {:?}", began.elapsed());
        times.record(u64::try_from(at.duration_since(since).as_micros())?)?;
    }
    let figure = |quantile| times.value_at_quantile(quantile) as f64;
    report.add("latency", who, &[("p50 µs", figure(0.5)), ("p99 µs", figure(0.99))]);
    Ok(())
}
