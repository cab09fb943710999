//! `users`: whom external ids stand for.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::output::Output;
use super::store::store;
use super::{runtime, show};
use crate::app;
use crate::config::{Config, Sources};
use crate::model::User;

/// Shows which embed user of Omni an external id stands for, with the configuration of serve, and forgets it
#[derive(Args)]
pub(super) struct Users {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows Omni's id of a user: the one that is remembered, else Omni is asked, within the budget; nobody is created.
    /// 1 when Omni knows nobody
    Resolve(Whom),
    /// Has the next prompt of a user look at Omni again
    Forget(Whom),
}

#[derive(Args)]
struct Whom {
    #[arg(value_name = "EXTERNAL_ID", value_parser = NonEmptyStringValueParser::new())]
    external_id: String,
    #[command(flatten)]
    output: Output,
}

impl Users {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        runtime::block_on(1, async {
            match self.verb {
                Verb::Resolve(whom) => whom.resolve(&config).await,
                Verb::Forget(whom) => whom.forget(&config).await,
            }
        })
    }
}

impl Whom {
    async fn resolve(self, config: &Config) -> anyhow::Result<ExitCode> {
        let directory = app::directory(config, &store(config)?)?;
        let user = User::External { external_id: self.external_id.clone(), profile: Map::new() };
        let (id, cached) = directory.resolve(&user).await.context("failed to find the user")?;
        show::print(&if self.output.json() {
            json!({"externalId": self.external_id, "userId": id, "cached": cached}).to_string()
        } else {
            let id = id.map_or_else(|| "omni knows nobody".to_owned(), |id| id.to_string());
            format!("{} {id} ({})", show::plain(&self.external_id), if cached { "remembered" } else { "looked up" })
        })?;
        Ok(if id.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn forget(self, config: &Config) -> anyhow::Result<ExitCode> {
        let forgotten = store(config)?.forget_user(&self.external_id, None).await.context("failed to forget")?;
        show::print(&if self.output.json() {
            let outcome = if forgotten { "forgotten" } else { "not_cached" };
            json!({"externalId": self.external_id, "outcome": outcome}).to_string()
        } else {
            let outcome = if forgotten { "forgotten" } else { "was not remembered" };
            format!("{} {outcome}", show::plain(&self.external_id))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
