use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, starts_with};

use crate::session::Session;

#[test]
fn every_command_explains_itself_and_its_exit_codes() {
    let session = Session::new();
    for command in [
        "",
        "serve",
        "demo",
        "simulate",
        "ask",
        "tail",
        "prompt",
        "prompt show",
        "prompt cancel",
        "dead",
        "dead list",
        "dead show",
        "dead replay",
        "dead discard",
        "users",
        "users resolve",
        "users forget",
        "webhook",
        "webhook sign",
        "webhook verify",
        "webhook send",
        "config",
        "config check",
        "config show",
        "completions",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let usage = format!("Usage: omni-relay {command}");
        session.command(&arguments).assert().success().stdout(contains(usage.trim()).and(contains("Exit codes: 0")));
    }
}

#[test]
fn the_version_is_the_package_s() {
    let version = format!("omni-relay {}\n", env!("CARGO_PKG_VERSION"));
    Session::new().command(&["--version"]).assert().success().stdout(version);
}

#[test]
fn what_is_not_understood_ends_with_two() {
    let session = Session::new();
    for wrong in [
        &[][..],
        &["dance"],
        &["serve", "--redis", "sentinel"],
        &["simulate", "--duration", "3s..1s"],
        &["ask"],
        &["ask", "why?", "--user-id", "anna"],
        &["tail"],
        &["tail", "thread-1", "--answers"],
        &["tail", "a b"],
        &["tail", "thread-1", "--from", "yesterday"],
        &["prompt", "show"],
        &["prompt", "cancel", "thread-1"],
        &["dead", "list", "--stage", "proces"],
        &["dead", "list", "--since", "yesterday"],
        &["dead", "list", "--limit", "0"],
        &["dead", "list", "--cursor", "1"],
        &["dead", "replay"],
        &["users", "resolve"],
        &["users", "forget", ""],
        &["webhook", "sign", "--secret", "typed"],
        &["config", "show", "-o", "xml"],
    ] {
        session.command(wrong).assert().code(2).stdout("").stderr(contains("Usage").or(starts_with("error: ")));
    }
}
