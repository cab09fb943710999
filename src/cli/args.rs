//! What can be typed, and what runs then.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::serve::Serve;
use super::simulate::Simulate;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 not understood, 3 stopped with work dropped.";

/// Asks Omni Analytics questions for your chats, and puts every answer on a Redis stream, once.
#[derive(Parser)]
#[command(name = "omni-relay", version, after_help = EXIT_CODES)]
struct Cli {
    /// The configuration file, in TOML; else the one that OMNI_RELAY_CONFIG names
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Serve),
    Simulate(Simulate),
}

/// Runs the command that was typed. Ends the process itself only for help, versions and what it does not understand.
pub fn run() -> anyhow::Result<ExitCode> {
    let Cli { config, command } = Cli::parse();
    match command {
        Command::Serve(command) => command.run(config),
        Command::Simulate(command) => command.run(),
    }
}

/// Says why a command failed. Whoever closed our stdout has seen enough and is told nothing.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if !error.chain().any(|cause| cause.downcast_ref().is_some_and(closed)) {
        eprintln!("omni-relay: {error:#}");
    }
    ExitCode::FAILURE
}
