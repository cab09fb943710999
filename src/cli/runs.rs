//! `run`: decisions about many dead letters, as they go on and as they ended.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::dead::{Part, table, when};
use super::output::Output;
use super::runtime;
use super::show::{self, Style};
use super::store::{store, who};
use crate::config::{Config, Sources};
use crate::model::run::{Run, RunState, WholeRun};
use crate::pipeline::runs::Drove;
use crate::pipeline::{DeadLetters, Runs};
use crate::runtime::{Clock, Stop};
use crate::store::Store;

/// Pause between two looks at a run.
const LOOK: Duration = Duration::from_millis(500);

/// Lists, shows and stops runs (bulk replays and discards), in Redis itself, with the configuration of serve
#[derive(Args)]
pub(super) struct Overseen {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists runs, the newest first
    List {
        #[command(flatten)]
        part: Part,
        #[command(flatten)]
        output: Output,
    },
    /// Shows a run: how far it is, what came of it, which causes it met
    Show(Which),
    /// Stops a run; what it decided on stays decided. One that has ended stays as it is
    Stop(Which),
}

#[derive(Args)]
struct Which {
    id: String,
    #[command(flatten)]
    output: Output,
}

impl Overseen {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        runtime::block_on(1, self.work(config))
    }

    async fn work(self, config: Config) -> anyhow::Result<ExitCode> {
        let store = store(&config)?;
        let (which, whole) = match self.verb {
            Verb::List { part, output } => return list(&store, part, output).await,
            Verb::Show(which) => {
                let whole = store.run(&which.id).await.context("failed to read the run")?;
                (which, whole)
            }
            Verb::Stop(which) => {
                let letters = DeadLetters::new(store.clone(), Clock::system(), config.reconcile.after);
                let runs = Runs::new(store.clone(), letters, Clock::system());
                let whole = runs.stop(&which.id, &who()).await.context("failed to stop the run")?;
                (which, whole)
            }
        };
        let Some(whole) = whole else { bail!("there is no run {}", show::plain(&which.id)) };
        let json = which.output.json();
        show::print(&if json { serde_json::to_string(&whole)? } else { page(&whole, Style::of_stdout()) })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(store: &Store, part: Part, output: Output) -> anyhow::Result<ExitCode> {
    let page = store.runs(None, part.cursor, usize::from(part.limit)).await.context("failed to list")?;
    let next = page.next.map(|cursor| cursor.to_string());
    let header = ["run", "asked", "by", "action", "state", "matched", "decided"];
    show::page(output, &page.items, next, &header, row, "no runs")?;
    Ok(ExitCode::SUCCESS)
}

fn row(run: &Run) -> Vec<String> {
    let dry = if run.order.dry_run { ", dry" } else { "" };
    vec![
        run.id.clone(),
        when(run.created_at),
        show::plain(&run.who),
        format!("{}{dry}", run.order.action.as_str()),
        run.state.as_str().to_owned(),
        run.counts.matched.to_string(),
        (run.counts.replayed + run.counts.discarded).to_string(),
    ]
}

/// A run, for people.
pub(super) fn page(whole: &WholeRun, style: Style) -> String {
    let (run, counts) = (&whole.run, whole.run.counts);
    let mut lines = Vec::new();
    let mut line =
        |name: &str, value: &str| lines.push(format!("{} {}", style.dim(&format!("{name:<12}")), show::plain(value)));
    line("run", &run.id);
    let dry = if run.order.dry_run { " (dry run: nothing is changed)" } else { "" };
    line("action", &format!("{}{dry}", run.order.action.as_str()));
    line("filter", &serde_json::to_string(&run.order.filter).unwrap_or_default());
    line("by", &run.who);
    line("asked", &when(run.created_at));
    if let Some(ended) = run.ended_at {
        line("ended", &when(ended));
    }
    line("state", run.state.as_str());
    if let Some(error) = &run.error {
        line("error", error);
    }
    line("looked at", &format!("{} of {}", run.progress.looked_at, run.progress.of));
    for (name, count) in [
        ("matched", counts.matched),
        ("replayed", counts.replayed),
        ("discarded", counts.discarded),
        ("already", counts.already),
        ("failed", counts.failed),
    ] {
        if count > 0 || name == "matched" {
            line(name, &count.to_string());
        }
    }
    let more = if whole.more_groups > 0 { format!("\n{} more causes", whole.more_groups) } else { String::new() };
    if whole.groups.is_empty() {
        return lines.join("\n");
    }
    format!("{}\n\n{}{more}", lines.join("\n"), table(&whole.groups))
}

/// Drives a run to its end, or looks on where a relay does, and tells who watches how far it is.
pub(super) async fn follow(runs: &Runs, store: &Store, id: &str) -> anyhow::Result<WholeRun> {
    let watched = stderr().is_terminal();
    eprintln!("run {id}: should this be interrupted, a relay goes on with it; `run stop {id}` stops it");
    let never = Stop::default();
    let driving = async {
        while runs.drive(id, &never).await? != Drove::Ended {
            tokio::time::sleep(LOOK).await;
            if store.run(id).await?.is_none_or(|whole| whole.run.state != RunState::Running) {
                break;
            }
        }
        anyhow::Ok(())
    };
    let telling = async {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Ok(Some(WholeRun { run, .. })) = store.run(id).await
                && watched
            {
                let decided = run.counts.replayed + run.counts.discarded;
                eprint!("\rlooked at {} of {}, {decided} decided", run.progress.looked_at, run.progress.of);
            }
        }
    };
    tokio::select! {
        driven = driving => driven.with_context(|| format!("failed to go on with run {id}; a relay does"))?,
        () = telling => {}
    }
    if watched {
        eprintln!();
    }
    match store.run(id).await.context("failed to read the run")? {
        Some(whole) => Ok(whole),
        None => bail!("run {id} is gone"),
    }
}
