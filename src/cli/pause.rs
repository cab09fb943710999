//! `pause` and `resume`: hold a stage or a tenant back, on every replica.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::output::Output;
use super::store::{store, who};
use super::{runtime, show};
use crate::app;
use crate::config::{Config, Sources};
use crate::pipeline::Pauses;
use crate::runtime::Clock;
use crate::store::pauses::{Pausable, Paused};

/// Holds a stage or a tenant back, on every replica, within about two seconds; without either, lists what is paused
#[derive(Args)]
pub(super) struct Pause {
    #[command(flatten)]
    what: What,
    /// What is to be said about it, for whoever finds it paused
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// Lets a stage or a tenant go on that was paused
#[derive(Args)]
pub(super) struct Resume {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
#[group(multiple = false)]
struct What {
    /// intake: pushed prompts stay where they are. submit: Omni is asked nothing new. process: answers are not published
    #[arg(value_name = "STAGE")]
    stage: Option<String>,
    /// A tenant: its prompts are accepted, and wait
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    tenant: Option<String>,
}

impl What {
    fn named(&self, pauses: &Pauses) -> anyhow::Result<Option<Pausable>> {
        Ok(match (&self.stage, &self.tenant) {
            (Some(stage), _) => Some(pauses.stage(stage)?),
            (None, Some(tenant)) => Some(pauses.tenant(tenant)?),
            (None, None) => None,
        })
    }
}

impl Pause {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        runtime::block_on(1, async {
            let pauses = app::pauses(&config, &store(&config)?, &Clock::system());
            match self.what.named(&pauses)? {
                Some(what) => {
                    let news = pauses.pause(what.clone(), &who(), self.why).await?;
                    said(&what, if news { "paused" } else { "already_paused" }, self.output)
                }
                None => list(&pauses, self.output).await,
            }
        })
    }
}

impl Resume {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        runtime::block_on(1, async {
            let pauses = app::pauses(&config, &store(&config)?, &Clock::system());
            let Some(what) = self.what.named(&pauses)? else {
                anyhow::bail!("name a stage or a tenant; `pause` lists what is paused");
            };
            let news = pauses.resume(&what, &who()).await?;
            said(&what, if news { "resumed" } else { "already_resumed" }, self.output)
        })
    }
}

fn said(what: &Pausable, outcome: &str, output: Output) -> anyhow::Result<ExitCode> {
    let what = what.to_string();
    show::print(&if output.json() {
        json!({"what": what, "outcome": outcome}).to_string()
    } else {
        format!("{} {}", show::plain(&what).replacen(':', " ", 1), outcome.replace('_', " "))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(pauses: &Pauses, output: Output) -> anyhow::Result<ExitCode> {
    let items = pauses.list().await?;
    if output.json() {
        let item = |pause: &Paused| json!({"what": pause.what.to_string(), "who": pause.note.who, "at": pause.note.at, "why": pause.note.why});
        show::print(&json!({"items": items.iter().map(item).collect::<Vec<_>>()}).to_string())?;
    } else if items.is_empty() {
        show::print("nothing is paused")?;
    } else {
        let row = |pause: &Paused| {
            let why = pause.note.why.clone().unwrap_or_default();
            let cells = [pause.what.to_string(), pause.note.who.clone(), pause.note.at.to_string(), why];
            cells.iter().map(|cell| show::plain(cell)).collect()
        };
        let header = ["what", "by", "since", "why"].map(str::to_owned);
        show::print(&show::table(&header, &items.iter().map(row).collect::<Vec<_>>()))?;
    }
    Ok(ExitCode::SUCCESS)
}
