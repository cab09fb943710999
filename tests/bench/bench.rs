//! Figures of the relay, each beside what the least that could do it reaches in the same run: only their ratios count.
//!
//! `./dev bench [NAME]… [--rounds N] [--events N] [--json FILE]`, then `./dev bench --plot FILE.svg RUN.json…`. The relay is
//! the real binary in a process of its own; so are the ceilings, which are this program again. After each turn the counts
//! are checked: nothing lost, nothing twice.
#![expect(clippy::cast_precision_loss, reason = "figures are told to three digits")]
#![expect(clippy::disallowed_methods, reason = "what measures keeps the time, and is no part of the relay")]

mod accept;
mod bed;
mod ceiling;
mod economy;
mod growth;
mod ingest;
mod latency;
mod load;
mod plot;
mod process;
mod promises;
mod readers;
mod replay;
mod report;
mod rss;
mod seed;
mod stub;

use anyhow::{Context, bail};

use report::Report;

/// How much is measured.
pub(crate) struct Scale {
    /// Turns of each side.
    pub(crate) rounds: usize,
    /// Events, requests or letters of a turn.
    pub(crate) events: usize,
    /// Readers of server-sent events.
    pub(crate) readers: usize,
    /// Largest backlog.
    pub(crate) backlog: usize,
}

const ALL: [&str; 9] = ["ingest", "process", "accept", "latency", "readers", "replay", "economy", "growth", "rss"];

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut scale = Scale { rounds: 3, events: 20_000, readers: 10_000, backlog: 10_000 };
    let (mut names, mut json) = (Vec::new(), None);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse().ok()).context("a number is missing");
        match word.as_str() {
            "--ceiling" => return ceiling::run(&words.collect::<Vec<_>>()),
            "--plot" => return plot::draw(&words.collect::<Vec<_>>()),
            "--rounds" => scale.rounds = number()?,
            "--events" => scale.events = number()?,
            "--readers" => scale.readers = number()?,
            "--backlog" => scale.backlog = number()?,
            "--json" => json = Some(words.next().context("a file is missing")?),
            name if ALL.contains(&name) => names.push(name.to_owned()),
            other => bail!("{other} is none of {}", ALL.join(", ")),
        }
    }
    if names.is_empty() {
        names = ALL.map(str::to_owned).to_vec();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mut report = Report::default();
        for name in &names {
            eprintln!("bench: {name}");
            match name.as_str() {
                "ingest" => ingest::run(&scale, &mut report).await,
                "process" => process::run(&scale, &mut report).await,
                "accept" => accept::run(&scale, &mut report).await,
                "latency" => latency::run(&scale, &mut report).await,
                "readers" => readers::run(&scale, &mut report).await,
                "replay" => replay::run(&scale, &mut report).await,
                "economy" => economy::run(&mut report).await,
                "growth" => growth::run(&scale, &mut report).await,
                _ => rss::run(&scale, &mut report).await,
            }
            .with_context(|| format!("in {name}"))?;
        }
        anyhow::Ok(report)
    })?;
    print!("{}", report.table());
    if let Some(file) = json {
        std::fs::write(file, report.json())?;
    }
    Ok(())
}
