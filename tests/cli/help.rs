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
        "explain",
        "dead",
        "dead list",
        "dead show",
        "dead replay",
        "dead discard",
        "dead export",
        "run",
        "run list",
        "run show",
        "run stop",
        "pause",
        "resume",
        "audit",
        "audit list",
        "doctor",
        "health",
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

/// The commands that a text names: in its blocks, and between backticks.
fn commands(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let line = line.split(" #").next().unwrap();
            // Elsewhere it is a user, or a file that goes somewhere.
            let verb = |command: &str| command.split(' ').next().is_some_and(|word| !word.contains('/'));
            let command = line.split_once("omni-relay ").map(|(_, command)| command);
            found.extend(command.filter(|command| verb(command)).map(str::to_owned));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.filter_map(|span| span.strip_prefix("omni-relay ").map(str::to_owned)));
        }
    }
    found
}

/// What people fill in.
const FILLED: [(&str, &str); 5] = [
    ("<time>", "2026-01-31T03:00:00Z"),
    ("<next>", "1.a"),
    ("<id>", "01a205e5-737d-707e-a318-3e77d945038f"),
    ("<promptId>", "01a205e5-737d-707e-a318-3e77d945038f"),
    ("<stage>", "submit"),
];

/// With every option that stands there. What is in angle brackets is somebody's to fill in.
#[test]
fn the_commands_that_runbook_and_readme_name_are_there() {
    let session = Session::new();
    for (name, at_least) in [("docs/RUNBOOK.md", 20), ("README.md", 15)] {
        let text = std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let commands = commands(&text);
        assert!(commands.len() >= at_least, "{name}: {commands:?}");
        for command in commands {
            let filled = FILLED.iter().fold(command.clone(), |text, (name, value)| text.replace(name, value));
            let words = shlex::split(&filled).unwrap();
            let words = words.iter().map(String::as_str).take_while(|word| ![">", "<", "|", "&"].contains(word));
            let arguments: Vec<&str> = words.chain(["--help"]).collect();
            let run = session.command(&arguments).output().unwrap();
            assert!(run.status.success(), "{name}: {command}: {}", String::from_utf8_lossy(&run.stderr));
        }
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
        &["dead", "replay", "--dry-run"],
        &["dead", "replay", "a", "--all"],
        &["dead", "replay", "a", "--edit", "[]"],
        &["dead", "replay", "--all", "--edit", "{\"prompt\": \"q\"}"],
        &["dead", "discard", "a", "--edit", "{}"],
        &["run", "show"],
        &["users", "resolve"],
        &["users", "forget", ""],
        &["webhook", "sign", "--secret", "typed"],
        &["config", "show", "-o", "xml"],
    ] {
        session.command(wrong).assert().code(2).stdout("").stderr(contains("Usage").or(starts_with("error: ")));
    }
}
