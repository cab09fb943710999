use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, is_match};
use serde_json::Value;

use crate::session::{ENOUGH, Session};

const SECRET: &str = "a-secret-nobody-may-see";

#[test]
fn a_good_configuration_is_ok_and_its_risks_are_told() {
    let session = Session::new();
    let check = session.command(&["config", "check"]).envs(ENOUGH).assert().success();
    check.stdout(contains("warning: no callers").and(is_match("ok\n$").unwrap())).stderr("");
}

#[test]
fn every_problem_is_named_with_its_origin_and_what_is_right() {
    let session = Session::new();
    let file = session.file(
        "relay.toml",
        format!("retention = 'long'\n\n[omni]\napi_keys = ['{SECRET}', '{SECRET}']\nbase_ulr = 'https://a'\n"),
    );
    for verb in ["check", "show"] {
        session
            .command(&["--config", &file, "config", verb])
            .env("OMNI_RELAY__RETRY__ATTEMPTS", "none")
            .env("OMNI_RELAY__REDIS__URL", format!("mysql://:{SECRET}@db"))
            .env("OMNI_RELAY__NAMESPCE", "x")
            .assert()
            .code(1)
            .stdout("")
            .stderr(
                is_match(r"(?m)^  retention: .*14d.*\(file .*relay\.toml:1\)$")
                    .unwrap()
                    .and(is_match(r"omni\.base_ulr: .*did you mean omni\.base_url\?.*relay\.toml:5").unwrap())
                    .and(is_match(r"omni\.api_keys: .*relay\.toml:4").unwrap())
                    .and(is_match(r"retry\.attempts: .*whole number.*OMNI_RELAY__RETRY__ATTEMPTS").unwrap())
                    .and(is_match(r"redis\.url: .*redis://host").unwrap())
                    .and(contains("did you mean OMNI_RELAY__NAMESPACE?"))
                    .and(contains(SECRET).not()),
            );
    }
}

#[test]
fn problems_come_as_json_too() {
    let session = Session::new();
    let check = session.command(&["config", "check", "-o", "json"]).assert().code(1).stderr("");
    let report: Value = serde_json::from_slice(&check.get_output().stdout).unwrap();
    assert_eq!(report["ok"], false);
    let keys: Vec<&Value> = report["problems"].as_array().unwrap().iter().map(|problem| &problem["key"]).collect();
    assert_eq!(keys, ["omni.base_url", "omni.api_keys"]);
}

#[test]
fn show_tells_where_values_come_from_and_hides_secrets() {
    let session = Session::new();
    let file = session.file("relay.toml", "namespace = 'sales'\n");
    let env = [
        ("OMNI_RELAY_CONFIG", file.as_str()),
        ("OMNI_RELAY__OMNI__API_KEYS", SECRET),
        ("OMNI_RELAY__REDIS__URL", "redis://:a-secret-nobody-may-see@127.0.0.1:1"),
        ("OMNI_RELAY__CALLERS__CHAT__KEY", SECRET),
    ];
    let show = session.command(&["config", "show"]).envs(ENOUGH).envs(env).assert().success();
    show.stdout(contains("namespace").and(contains("sales")).and(contains(SECRET).not()));

    let show = session.command(&["config", "show", "-o", "json"]).envs(ENOUGH).envs(env).assert().success();
    let text = String::from_utf8(show.get_output().stdout.clone()).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let row = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key} in {text}"));
    assert_eq!(row("namespace")["value"], "sales");
    assert!(row("namespace")["origin"].as_str().unwrap().ends_with("relay.toml:1"));
    assert_eq!(row("omni.base_url")["origin"], "environment OMNI_RELAY__OMNI__BASE_URL");
    assert_eq!(row("retention")["origin"], "default");
    assert!(row("callers.chat.key")["value"].is_string());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let session = Session::new();
    session
        .command(&["config", "check", "--config", "/nowhere/relay.toml"])
        .assert()
        .code(1)
        .stderr(contains("cannot read /nowhere/relay.toml"));
}
