//! What can be typed, and what runs then.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::ask::Ask;
use super::audit::Audit;
use super::completions::Completions;
use super::config::Configuration;
use super::dead::Dead;
use super::demo::Demo;
use super::doctor::Doctor;
use super::explain::Explain;
use super::health::Health;
use super::pause::{Pause, Resume};
use super::prompt::Prompt;
use super::runs::Overseen;
use super::serve::Serve;
use super::simulate::Simulate;
use super::tail::Tail;
use super::users::Users;
use super::webhook::Webhook;
use crate::runtime::chain;

const CONFIG: &str = "The configuration file, in TOML; else the one that OMNI_RELAY_CONFIG names";
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 not understood, 3 stopped with work dropped.";

/// Asks Omni Analytics questions for your chats, and puts every answer on a Redis stream, once.
#[derive(Parser)]
#[command(name = "omni-relay", version)]
struct Cli {
    #[arg(long, global = true, value_name = "FILE", help = CONFIG)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Serve),
    Demo(Demo),
    Simulate(Simulate),
    Ask(Ask),
    Tail(Tail),
    Prompt(Prompt),
    Explain(Explain),
    Dead(Dead),
    Run(Overseen),
    Pause(Pause),
    Resume(Resume),
    Audit(Audit),
    Doctor(Doctor),
    Health(Health),
    Users(Users),
    Webhook(Webhook),
    Config(Configuration),
    Completions(Completions),
}

/// Runs the command that was typed. Ends the process itself only for help, versions and what it does not understand.
pub fn run() -> anyhow::Result<ExitCode> {
    let Cli { config, command } = Cli::from_arg_matches(&command().get_matches())?;
    match command {
        Command::Serve(command) => command.run(config),
        Command::Demo(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Ask(command) => command.run(),
        Command::Tail(command) => command.run(config),
        Command::Prompt(command) => command.run(config),
        Command::Explain(command) => command.run(config),
        Command::Dead(command) => command.run(config),
        Command::Run(command) => command.run(config),
        Command::Pause(command) => command.run(config),
        Command::Resume(command) => command.run(config),
        Command::Audit(command) => command.run(config),
        Command::Doctor(command) => command.run(config),
        Command::Health(command) => command.run(config),
        Command::Users(command) => command.run(config),
        Command::Webhook(command) => command.run(config),
        Command::Config(command) => command.run(config),
        Command::Completions(command) => command.run(self::command()),
    }
}

/// The whole command line; every command's help ends with the exit codes.
fn command() -> clap::Command {
    fn explained(command: clap::Command) -> clap::Command {
        command.after_help(EXIT_CODES).mut_subcommands(explained)
    }
    explained(Cli::command())
}

/// Says why a command failed. Whoever closed our stdout has seen enough and is told nothing.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    let closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if !error.chain().any(|cause| cause.downcast_ref().is_some_and(closed)) {
        eprintln!("omni-relay: {}", chain(error.as_ref()));
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
