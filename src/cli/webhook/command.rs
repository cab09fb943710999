//! The verbs of `webhook`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::send::Send;
use super::sign::Sign;
use super::verify::Verify;

/// Signs, verifies and sends webhooks as Omni does
#[derive(Args)]
pub(in crate::cli) struct Webhook {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Sign(Sign),
    Verify(Verify),
    Send(Send),
}

impl Webhook {
    pub(in crate::cli) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Sign(verb) => verb.run(file),
            Verb::Verify(verb) => verb.run(file),
            Verb::Send(verb) => verb.run(file),
        }
    }
}
