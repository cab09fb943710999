//! The relay's memory: at rest, after so many events, and after as many again.

use crate::Scale;
use crate::bed::Bed;
use crate::ceiling::emptied;
use crate::report::Report;
use crate::seed::{Prompt, submitted, told};
use crate::stub::Stub;

const MIB: f64 = 1024.0;

pub(crate) async fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let (bed, stub) = (Bed::start().await?, Stub::start().await?);
    let relay = bed.relay(&stub.url).await?;
    let mut memory = vec![relay.memory()? / MIB];
    for _ in 0..2 {
        for _ in 0..5 {
            let prompts = Prompt::many(scale.events);
            submitted(&bed, &prompts).await?;
            told(&bed, &prompts).await?;
            emptied(&bed, &bed.store.keys().inbox).await?;
        }
        memory.push(relay.memory()? / MIB);
    }
    report.add(
        "rss",
        "relay",
        &[("MiB at rest", memory[0]), ("MiB after the first half", memory[1]), ("MiB after the second", memory[2])],
    );
    Ok(())
}
