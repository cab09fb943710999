//! Readers of one conversation's server-sent events: what each costs, and how soon the last one has read.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use omni_relay::model::entry::About;
use omni_relay::model::{Entry, EntryType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Scale;
use crate::bed::{Bed, NAMESPACE};
use crate::report::Report;
use crate::seed::Prompt;

const PATIENCE: Duration = Duration::from_mins(2);
/// What anybody shows who reads from the beginning on.
const HELLO: &[u8] = b"event: omni.prompt.accepted\n";
const NEWS: &[u8] = b"event: omni.answer\n";

pub(crate) async fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    for _ in 0..scale.rounds {
        let relay = bed.relay("http://127.0.0.1:9").await?;
        let prompt = Prompt::new();
        publish(&bed, &prompt, EntryType::Accepted).await?;
        let (idle, others) = (relay.memory()?, connections(&bed).await?);
        let (here, mut ready) = unbounded_channel();
        let (seen, mut read) = unbounded_channel();
        let mut readers = JoinSet::new();
        for _ in 0..scale.readers {
            let (address, here, seen) = (relay.address().to_owned(), here.clone(), seen.clone());
            let path = format!("/v1/conversations/{}/events", prompt.conversation);
            readers.spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nlast-event-id: 0-0\r\n\r\n");
                stream.write_all(request.as_bytes()).await?;
                until(&mut stream, HELLO).await?;
                here.send(())?;
                until(&mut stream, NEWS).await?;
                seen.send(Instant::now())?;
                // Stays until everybody has read.
                std::future::pending::<anyhow::Result<()>>().await
            });
            // A listener's queue is short.
            if readers.len() % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        for _ in 0..scale.readers {
            timeout(PATIENCE, ready.recv()).await.context("a reader never stood")?;
        }
        let memory = (relay.memory()? - idle) / scale.readers as f64;
        let (more, began) = (connections(&bed).await?, Instant::now());
        publish(&bed, &prompt, EntryType::Answer).await?;
        let mut last = began;
        for _ in 0..scale.readers {
            last = timeout(PATIENCE, read.recv()).await.ok().flatten().context("a reader never read")?.max(last);
        }
        ensure!(readers.try_join_next().is_none(), "a reader was left");
        report.add(
            "readers",
            "relay",
            &[
                ("KiB each", memory),
                ("last has read, ms", last.duration_since(began).as_secs_f64() * 1e3),
                ("more connections to Redis", more - others),
            ],
        );
        drop((readers, relay));
        bed.clear().await?;
    }
    Ok(())
}

/// Reads until this is there.
async fn until(stream: &mut TcpStream, line: &[u8]) -> anyhow::Result<()> {
    let mut text = Vec::with_capacity(1024);
    while !text.windows(line.len()).any(|part| part == line) {
        if stream.read_buf(&mut text).await? == 0 {
            bail!("the stream ended");
        }
    }
    Ok(())
}

async fn publish(bed: &Bed, prompt: &Prompt, kind: EntryType) -> anyhow::Result<()> {
    let about = About {
        namespace: NAMESPACE,
        prompt_id: prompt.id,
        conversation: &prompt.conversation,
        job_id: None,
        conversation_id: None,
        chat_url: None,
        metadata: None,
    };
    bed.store.publish(prompt.id, &Entry::new(kind, &about, Timestamp::now(), &about.data()), None).await?;
    Ok(())
}

async fn connections(bed: &Bed) -> anyhow::Result<f64> {
    let list: String = bed.ask(&["CLIENT", "LIST"]).await?;
    Ok(list.lines().count() as f64)
}
