//! `dead export`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::filter::Filter;
use crate::cli::show;
use crate::pipeline::DeadLetters;
use crate::store::Store;
use crate::store::letters::Order;

/// Letters looked at before the next are asked for.
const STEP: usize = 100;

/// Which letters to write.
#[derive(Args)]
pub(super) struct Export {
    #[command(flatten)]
    filter: Filter,
}

impl Export {
    pub(super) async fn run(self, store: &Store, letters: &DeadLetters) -> anyhow::Result<ExitCode> {
        let (filter, mut behind) = (self.filter.of(store).await?, None);
        loop {
            let found = store.look_at_letters(&filter, Order::Oldest, behind.as_ref(), STEP);
            let found = found.await.context("failed to list")?;
            for letter in found.iter().filter_map(|(_, letter)| letter.as_ref()) {
                // One that was decided on meanwhile is a dead letter no more.
                if let Some(whole) = letters.show(&letter.id).await.context("failed to read a letter")? {
                    show::print(&serde_json::to_string(&whole)?)?;
                }
            }
            if found.len() < STEP {
                return Ok(ExitCode::SUCCESS);
            }
            behind = found.into_iter().last().map(|(place, _)| place);
        }
    }
}
