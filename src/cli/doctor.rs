//! `doctor`: how everything is that the relay stands on, and what to do.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::runtime;
use super::show::{self, Style};
use super::store::store;
use crate::app;
use crate::config::{Config, Sources};
use crate::pipeline::doctor::{Check, Health};

/// Looks at the configuration, Redis, the stages, Omni and the webhook address, to which it sends a signed event of its own, and
/// says what to do; 1 when something fails
#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    output: Output,
}

impl Doctor {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let checks = match Sources::from_process(file)
            .map_err(anyhow::Error::from)
            .and_then(|sources| Ok(Config::load(sources)?))
        {
            Ok(loaded) => runtime::block_on(1, async {
                let config = loaded.config;
                Ok(app::doctor(&config, &store(&config)?)?.examine().await)
            })?,
            Err(error) => {
                let advice = "put it right, then look again: nothing else can be looked at before; see `config check`";
                vec![Check::fail("configuration", format!("{error:#}"), advice)]
            }
        };
        if self.output.json() {
            show::print(&json!({"checks": checks}).to_string())?;
        } else {
            let style = Style::of_stdout();
            checks.iter().try_for_each(|check| show::print(&line(check, style)))?;
        }
        let well = checks.iter().all(|check| check.state != Health::Fail);
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn line(check: &Check, style: Style) -> String {
    let word = match check.state {
        Health::Ok => "ok  ",
        Health::Warn => "warn",
        Health::Fail => "FAIL",
    };
    let line = format!("{word}  {}: {}", check.name, show::plain(&check.seen));
    match &check.advice {
        Some(advice) => format!("{line}\n      {}", style.dim(advice)),
        None => line,
    }
}
