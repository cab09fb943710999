//! The verbs, and what they print.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::decide::{Decide, Replay};
use super::export::Export;
use super::list::List;
use crate::cli::output::Output;
use crate::cli::runtime;
use crate::cli::show::{self, Style};
use crate::cli::store::store;
use crate::config::{Config, Sources};
use crate::model::run::Action;
use crate::pipeline::{DeadLetters, Runs};
use crate::runtime::Clock;
use crate::store::letters::WholeLetter;

/// Lists, shows, replays and discards dead letters, in Redis itself, with the configuration of serve
#[derive(Args)]
pub(in crate::cli) struct Dead {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists letters, the newest first
    List(Box<List>),
    /// Shows a letter: every attempt, and the bytes that could not be handled
    Show {
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Puts letters back to the stage they died in: those that are named (1 when one is not known), or all that fit
    Replay(Box<Replay>),
    /// Removes letters; the readers of their prompts are told omni.failed. As for replay
    Discard(Box<Decide>),
    /// Writes whole letters, a line of JSON each, the oldest first
    Export(Box<Export>),
}

impl Dead {
    pub(in crate::cli) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        runtime::block_on(1, self.work(config))
    }

    async fn work(self, config: Config) -> anyhow::Result<ExitCode> {
        let store = store(&config)?;
        let letters = DeadLetters::new(store.clone(), Clock::system(), config.reconcile.after);
        let runs = Runs::new(store.clone(), letters.clone(), Clock::system());
        match self.verb {
            Verb::List(list) => list.run(&store, &runs).await,
            Verb::Show { id, output } => show(&letters, &id, output).await,
            Verb::Replay(replay) => replay.run(&letters, &runs, &store).await,
            Verb::Discard(decide) => decide.run(Action::Discard, &letters, &runs, &store).await,
            Verb::Export(export) => export.run(&store, &letters).await,
        }
    }
}

async fn show(letters: &DeadLetters, id: &str, output: Output) -> anyhow::Result<ExitCode> {
    let Some(letter) = letters.show(id).await.context("failed to read the letter")? else {
        bail!("there is no open dead letter {}", show::plain(id));
    };
    show::print(&if output.json() { serde_json::to_string(&letter)? } else { page(&letter, Style::of_stdout()) })?;
    Ok(ExitCode::SUCCESS)
}

fn page(whole: &WholeLetter, style: Style) -> String {
    let letter = &whole.letter;
    let mut lines = Vec::new();
    let mut line =
        |name: &str, value: &str| lines.push(format!("{} {}", style.dim(&format!("{name:<12}")), show::plain(value)));
    line("letter", &letter.id);
    line("died in", &letter.stage);
    line("reason", &letter.reason);
    line("error", &letter.error);
    line("first", &letter.first_at.to_string());
    line("last", &letter.last_at.to_string());
    let conversation = letter.conversation.as_ref().map(ToString::to_string);
    for (name, value) in [("prompt", &letter.prompt_id), ("job", &letter.job_id), ("conversation", &conversation)] {
        if let Some(value) = value {
            line(name, value);
        }
    }
    line("fingerprint", &letter.fingerprint);
    if let Some(trace) = &whole.trace_id {
        line("trace", trace);
    }
    let attempts: Vec<Vec<String>> = whole
        .history
        .iter()
        .map(|attempt| {
            let at = i64::try_from(attempt.at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
            vec![at.map(|at| at.to_string()).unwrap_or_default(), show::plain(&attempt.error)]
        })
        .collect();
    let header = ["attempt", "error"].map(str::to_owned);
    let original = show::plain(&String::from_utf8_lossy(&whole.original));
    format!("{}\n\n{}\n\n{original}", lines.join("\n"), show::table(&header, &attempts))
}
