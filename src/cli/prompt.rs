//! `prompt`: where a prompt stands, and the end of it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::output::Output;
use super::runtime;
use super::show::{self, Style};
use super::store::{store, who};
use crate::config::{Config, Sources};
use crate::http::prompt_for_operator;
use crate::model::PromptId;
use crate::pipeline::Canceller;
use crate::runtime::Clock;
use crate::store::Store;

/// Shows or cancels a prompt, in Redis itself, with the configuration of serve
#[derive(Args)]
pub(super) struct Prompt {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows where a prompt stands, and what it ended with
    Show(Which),
    /// Cancels a prompt, wherever it is; one that has ended stays as it is
    Cancel(Which),
}

#[derive(Args)]
struct Which {
    id: PromptId,
    #[command(flatten)]
    output: Output,
}

impl Prompt {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        runtime::block_on(1, self.work(config))
    }

    async fn work(self, config: Config) -> anyhow::Result<ExitCode> {
        let store = store(&config)?;
        let which = match self.verb {
            Verb::Show(which) => which,
            Verb::Cancel(which) => {
                let canceller = Canceller::new(store.clone(), Clock::system(), config.reconcile.after);
                let record = record(&store, which.id).await?;
                canceller.cancel(&record, &who()).await.context("failed to cancel")?;
                which
            }
        };
        let record = record(&store, which.id).await?;
        let (object, _) = prompt_for_operator(&store, record).await.context("failed to read the prompt")?;
        show::print(&if which.output.json() { object.to_string() } else { page(&object, Style::of_stdout()) })?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn record(store: &Store, id: PromptId) -> anyhow::Result<crate::store::record::Record> {
    match store.record(id).await.context("failed to read the prompt")? {
        Some(record) => Ok(record),
        None => bail!("there is no prompt {id}"),
    }
}

fn page(object: &Value, style: Style) -> String {
    let mut lines = Vec::new();
    for (name, shown) in [
        ("promptId", "prompt"),
        ("conversation", "conversation"),
        ("phase", "phase"),
        ("jobId", "job"),
        ("omniChatUrl", "in Omni"),
        ("stream", "stream"),
    ] {
        if let Some(value) = object[name].as_str() {
            lines.push(format!("{} {}", style.dim(&format!("{shown:<12}")), show::plain(value)));
        }
    }
    let steps = object["timeline"].as_array().into_iter().flatten();
    let text = |value: &Value| show::plain(value.as_str().unwrap_or_default());
    let rows: Vec<Vec<String>> = steps.map(|step| vec![text(&step["phase"]), text(&step["at"])]).collect();
    let page = format!("{}\n\n{}", lines.join("\n"), show::table(&["phase", "since"].map(str::to_owned), &rows));
    match object["entry"]["type"].as_str() {
        Some(kind) => format!("{page}\n\n{}", show::answer(kind, &object["entry"]["data"], style)),
        None => page,
    }
}
