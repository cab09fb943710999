//! `dead list`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::cli::args::Output;
use crate::cli::show;
use crate::model::letter::{Letter, LetterFilter};
use crate::model::{Conversation, Tenant};
use crate::store::Store;
use crate::store::letters::Cursor;

/// Longest error in the table, in characters.
const LINE: usize = 80;

/// What to list.
#[derive(Args)]
pub(super) struct List {
    /// The stage they died in
    #[arg(long, value_parser = PossibleValuesParser::new(["intake", "submit", "process"]))]
    stage: Option<String>,
    /// Why they died, such as `retries_exhausted`
    #[arg(long)]
    reason: Option<String>,
    /// Whose they are; '' for those of no tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Died at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Died before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Part of the error
    #[arg(long)]
    text: Option<String>,
    #[arg(long, value_name = "ID")]
    prompt_id: Option<Uuid>,
    #[arg(long, value_name = "ID")]
    job_id: Option<Uuid>,
    /// The conversation; `<tenant>/<name>` for a tenant's
    #[arg(long, value_parser = |name: &str| Conversation::from_full(name).ok_or("expected a conversation's name"))]
    conversation: Option<Conversation>,
    /// Those that died of the same cause
    #[arg(long)]
    fingerprint: Option<String>,
    /// Go on where a list ended
    #[arg(long, value_parser = |text: &str| text.parse::<Cursor>().map_err(|()| "expected what a list named as its next"))]
    cursor: Option<Cursor>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
    #[command(flatten)]
    output: Output,
}

impl List {
    pub(super) async fn run(self, store: &Store) -> anyhow::Result<ExitCode> {
        let filter = LetterFilter {
            stage: self.stage,
            reason: self.reason,
            tenant: self.tenant.as_deref().map(|name| Tenant::new(Some(name))),
            since: self.since,
            until: self.until,
            text: self.text,
            prompt_id: self.prompt_id.map(|id| id.to_string()),
            job_id: self.job_id.map(|id| id.to_string()),
            conversation: self.conversation,
            fingerprint: self.fingerprint,
        };
        let limit = usize::from(self.limit);
        let (mut items, mut next) = (Vec::new(), self.cursor);
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
        if self.output.json() {
            show::print(&json!({"items": items, "nextCursor": next}).to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        if items.is_empty() {
            show::print("no dead letters")?;
            return Ok(ExitCode::SUCCESS);
        }
        let header = ["letter", "died", "stage", "reason", "attempts", "conversation", "error"].map(str::to_owned);
        show::print(&show::table(&header, &items.iter().map(row).collect::<Vec<_>>()))?;
        if let Some(next) = next {
            show::print(&format!("more: --cursor {}", show::plain(&next)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(letter: &Letter) -> Vec<String> {
    let conversation = letter.conversation.as_ref().map(ToString::to_string).unwrap_or_default();
    let error: String = show::plain(&letter.error).lines().next().unwrap_or_default().chars().take(LINE).collect();
    let died = letter.last_at.to_string();
    let died = died.split_once('.').map_or(died.as_str(), |(seconds, _)| seconds).trim_end_matches('Z');
    vec![
        show::plain(&letter.id),
        died.replace('T', " "),
        letter.stage.clone(),
        letter.reason.clone(),
        letter.attempts.to_string(),
        conversation,
        error,
    ]
}
