//! `audit`: who changed what.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::output::Output;
use super::store::store;
use super::{runtime, show};
use crate::config::{Config, Sources};
use crate::store::audit::{Audited, Place};

/// Lists what people changed in the last 90 days: replays, discards, cancels, pauses
#[derive(Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists changes, the newest first
    List(List),
}

#[derive(Args)]
struct List {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Where the page before ended
    #[arg(long, value_parser = |text: &str| text.parse::<Place>().map_err(|()| "expected what the page before ended with"))]
    cursor: Option<Place>,
    #[command(flatten)]
    output: Output,
}

impl Audit {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        let Verb::List(list) = self.verb;
        runtime::block_on(1, list.list(config))
    }
}

impl List {
    async fn list(self, config: Config) -> anyhow::Result<ExitCode> {
        let store = store(&config)?;
        let (items, next) = store.audit(self.cursor, self.limit.into()).await.context("failed to list")?;
        let (next, header) = (next.map(|place| place.to_string()), ["at", "who", "what", "which", "details"]);
        show::page(self.output, &items, next, &header, row, "nothing was changed")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(one: &Audited) -> Vec<String> {
    let details = one.details.as_ref().map(|details| details.get().to_owned()).unwrap_or_default();
    [one.at.to_string(), one.who.clone(), one.what.clone(), one.id.clone(), details]
        .iter()
        .map(|cell| show::plain(cell))
        .collect()
}
