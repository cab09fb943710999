//! `dead list`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::filter::Filter;
use crate::cli::output::Output;
use crate::cli::show;
use crate::model::letter::Letter;
use crate::model::run::Group;
use crate::pipeline::Runs;
use crate::store::Store;
use crate::store::letters::Cursor;

/// Longest error in the table, in characters.
const LINE: usize = 80;

/// What to list.
#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// By their cause, the largest group first
    #[arg(long, conflicts_with_all = ["cursor", "limit"])]
    group: bool,
    #[command(flatten)]
    part: Part,
    #[command(flatten)]
    output: Output,
}

/// Which part of a list.
#[derive(Args)]
pub(in crate::cli) struct Part {
    /// Go on where a list ended
    #[arg(long, value_parser = |text: &str| text.parse::<Cursor>().map_err(|()| "expected what a list named as its next"))]
    pub(in crate::cli) cursor: Option<Cursor>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub(in crate::cli) limit: u16,
}

impl List {
    pub(super) async fn run(self, store: &Store, runs: &Runs) -> anyhow::Result<ExitCode> {
        let filter = self.filter.of(store).await?;
        if self.group {
            return groups(&runs.groups(&filter).await.context("failed to group letters")?, self.output);
        }
        let limit = usize::from(self.part.limit);
        let (mut items, mut next) = (Vec::new(), self.part.cursor);
        // Looks on where a page came out short although there is more.
        loop {
            let page = store.letters(&filter, next, limit - items.len()).await.context("failed to list")?;
            items.extend(page.items);
            next = page.next;
            if next.is_none() || items.len() == limit {
                break;
            }
        }
        let next = next.map(|cursor| cursor.to_string());
        let header = ["letter", "died", "stage", "reason", "attempts", "conversation", "error"];
        show::page(self.output, &items, next, &header, row, "no dead letters")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(letter: &Letter) -> Vec<String> {
    let conversation = letter.conversation.as_ref().map(ToString::to_string).unwrap_or_default();
    vec![
        show::plain(&letter.id),
        when(letter.last_at),
        letter.stage.clone(),
        letter.reason.clone(),
        letter.attempts.to_string(),
        conversation,
        line(&letter.error),
    ]
}

fn groups(groups: &[Group], output: Output) -> anyhow::Result<ExitCode> {
    show::print(&if output.json() { json!({"groups": groups}).to_string() } else { table(groups) })?;
    Ok(ExitCode::SUCCESS)
}

/// Groups of letters, for people.
pub(in crate::cli) fn table(groups: &[Group]) -> String {
    if groups.is_empty() {
        return "no dead letters".to_owned();
    }
    let header = ["letters", "stage", "reason", "first", "last", "fingerprint", "error"].map(str::to_owned);
    let row = |group: &Group| {
        vec![
            group.count.to_string(),
            group.stage.clone(),
            group.reason.clone(),
            when(group.first_at),
            when(group.last_at),
            group.fingerprint.clone(),
            line(&group.error),
        ]
    };
    show::table(&header, &groups.iter().map(row).collect::<Vec<_>>())
}

/// A time to the second.
pub(in crate::cli) fn when(at: Timestamp) -> String {
    let at = at.to_string();
    at.split_once('.').map_or(at.as_str(), |(seconds, _)| seconds).trim_end_matches('Z').replace('T', " ")
}

fn line(error: &str) -> String {
    show::plain(error).lines().next().unwrap_or_default().chars().take(LINE).collect()
}
