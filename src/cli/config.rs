//! `config`: what `serve` would run with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::Output;
use super::show;
use crate::config::{Config, Sources};

/// Checks or shows the configuration that serve would run with
#[derive(Args)]
pub(super) struct Configuration {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Says everything that is wrong with it, and what is risky; 1 when serve would not start
    Check {
        #[command(flatten)]
        output: Output,
    },
    /// Shows every setting in force and where it came from, secrets blacked out
    Show {
        #[command(flatten)]
        output: Output,
    },
}

impl Configuration {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let loaded = Sources::from_process(file).and_then(Config::load);
        match self.verb {
            Verb::Check { output } if output.json() => {
                let (problems, warnings) = match &loaded {
                    Ok(loaded) => (Vec::new(), loaded.config.warnings().to_vec()),
                    Err(error) => (error.problems.iter().map(problem).collect(), Vec::new()),
                };
                let report = json!({"ok": loaded.is_ok(), "problems": problems, "warnings": warnings});
                show::print(&report.to_string())?;
                Ok(if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Verb::Check { .. } => {
                let config = loaded?.config;
                for warning in config.warnings() {
                    show::print(&format!("warning: {warning}"))?;
                }
                show::print("ok")?;
                Ok(ExitCode::SUCCESS)
            }
            Verb::Show { output } => {
                let rows = loaded?.show();
                let text = if output.json() {
                    let rows = rows
                        .iter()
                        .map(|(key, value, origin)| json!({"key": key, "value": value, "origin": origin.to_string()}));
                    Value::Array(rows.collect()).to_string()
                } else {
                    let rows: Vec<_> =
                        rows.into_iter().map(|(key, value, origin)| vec![key, value, origin.to_string()]).collect();
                    show::table(&["setting", "value", "from"].map(str::to_owned), &rows)
                };
                show::print(&text)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn problem(problem: &crate::config::Problem) -> Value {
    json!({
        "key": problem.key,
        "origin": problem.origin.as_ref().map(ToString::to_string),
        "message": problem.message,
    })
}
