use predicates::str::contains;

use crate::session::Session;

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let session = Session::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        session.command(&["completions", shell]).assert().success().stdout(contains("simulate")).stderr("");
    }
}

#[test]
fn bash_takes_its_script() {
    let session = Session::new();
    let script = session.command(&["completions", "bash"]).assert().success().get_output().stdout.clone();
    let file = session.file("script", script);
    let status = std::process::Command::new("bash").args(["-n", &file]).status();
    match status {
        Ok(status) => assert!(status.success()),
        Err(error) => eprintln!("skipped: bash does not run here: {error}"),
    }
}
