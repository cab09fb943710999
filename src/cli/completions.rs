//! `completions`: what shells need to complete our command line.

use std::io;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::show;

/// Prints the completion script of a shell
#[derive(Args)]
pub(super) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, mut command: Command) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "omni-relay", &mut script);
        let script = String::from_utf8(script).map_err(io::Error::other)?;
        show::print(script.trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}
