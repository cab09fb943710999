//! `dead replay` and `dead discard`: of letters that are named, one by one; of all that fit, as a run.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::filter::Filter;
use crate::cli::output::Output;
use crate::cli::runs::{follow, page};
use crate::cli::show::{self, Style};
use crate::cli::store::who;
use crate::model::prompt::Invalid;
use crate::model::run::{Action, Order, RunState};
use crate::model::{Defaults, Edit};
use crate::pipeline::{DeadLetters, EditError, Runs};
use crate::store::Store;
use crate::store::dead::Decided;

#[derive(Args)]
pub(super) struct Decide {
    /// Letters; otherwise all that fit
    #[arg(
        value_name = "ID",
        required_unless_present_any = ["Filter", "all"],
        conflicts_with_all = ["Filter", "all", "dry_run", "rate"],
    )]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Every open letter
    #[arg(long, conflicts_with = "Filter")]
    all: bool,
    /// Only count what fits: how many, of which causes
    #[arg(long)]
    dry_run: bool,
    /// Letters a second; 0: as fast as it goes
    #[arg(long, default_value_t = Order::RATE, value_name = "LETTERS")]
    rate: u32,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    decide: Decide,
    /// Changes the one letter that is named before it goes back: a JSON merge patch over its prompt (prompt, modelId,
    /// topicName, branchId, deadlineSeconds, progress, metadata)
    #[arg(long, value_name = "JSON", value_parser = edit, conflicts_with_all = ["Filter", "all", "dry_run", "rate"])]
    edit: Option<Edit>,
}

impl Replay {
    pub(super) async fn run(self, letters: &DeadLetters, runs: &Runs, store: &Store) -> anyhow::Result<ExitCode> {
        let Some(edit) = self.edit else { return self.decide.run(Action::Replay, letters, runs, store).await };
        let [id] = self.decide.ids.as_slice() else { bail!("--edit is for one letter") };
        let decided = letters.replay_edited(id, &edit, Defaults::default(), &who()).await.map_err(told)?;
        self.decide.show(id, decided)?;
        Ok(if decided.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Decide {
    pub(super) async fn run(
        self,
        action: Action,
        letters: &DeadLetters,
        runs: &Runs,
        store: &Store,
    ) -> anyhow::Result<ExitCode> {
        if !self.ids.is_empty() {
            return self.named(action, letters).await;
        }
        let filter = self.filter.of(store).await?;
        let order = Order { action, filter, rate: self.rate, dry_run: self.dry_run };
        let run = runs.create_mine(order, &who()).await.context("failed to begin the run")?;
        let whole = follow(runs, store, &run.id).await?;
        show::print(&if self.output.json() {
            serde_json::to_string(&whole)?
        } else {
            page(&whole, Style::of_stdout())
        })?;
        let well = whole.run.state == RunState::Done && whole.run.counts.failed == 0;
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn named(self, action: Action, letters: &DeadLetters) -> anyhow::Result<ExitCode> {
        let who = who();
        let mut all_known = true;
        for id in &self.ids {
            let decided = match action {
                Action::Replay => letters.replay(id, &who).await.context("failed to replay")?,
                Action::Discard => letters.discard(id, &who).await.context("failed to discard")?,
            };
            all_known &= decided.is_some();
            self.show(id, decided)?;
        }
        Ok(if all_known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn show(&self, id: &str, decided: Option<Decided>) -> anyhow::Result<()> {
        let outcome = decided.map_or("unknown", Decided::as_str);
        show::print(&if self.output.json() {
            json!({"id": id, "outcome": outcome}).to_string()
        } else {
            format!("{} {}", show::plain(id), outcome.replace('_', " "))
        })?;
        Ok(())
    }
}

fn edit(text: &str) -> Result<Edit, String> {
    let patch = serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))?;
    Edit::new(patch).map_err(|_| "expected an object with the members that change".to_owned())
}

/// What would be right, where the letter would be no prompt.
fn told(error: EditError) -> anyhow::Error {
    match error {
        EditError::Invalid(Invalid::Fields(errors)) => {
            let told: Vec<String> =
                errors.into_iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
            anyhow::anyhow!("failed to change the letter: {}", told.join("; "))
        }
        error => anyhow::Error::new(error).context("failed to replay"),
    }
}
