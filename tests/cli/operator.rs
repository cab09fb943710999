//! What an operator types at night: what is wrong, hold it, look who did what, let it go on.

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::session::Session;

/// A relay on a Redis of its own; nobody reaches its Omni, or it the webhook address.
const SETTINGS: [(&str, &str); 10] = [
    ("OMNI_RELAY__OMNI__BASE_URL", "http://127.0.0.1:1"),
    ("OMNI_RELAY__OMNI__API_KEYS", "an-api-key"),
    ("OMNI_RELAY__OMNI__MODEL_ID", "11111111-2222-4333-8444-555555555555"),
    ("OMNI_RELAY__OMNI__RUN_AS_KEY_OWNER", "true"),
    ("OMNI_RELAY__WEBHOOK__PUBLIC_URL", "http://127.0.0.1:1/webhooks/omni"),
    ("OMNI_RELAY__WEBHOOK__SECRETS", "a secret of sixteen bytes and more"),
    ("OMNI_RELAY__CALLERS__ACME__KEY", "a-key-of-acme"),
    ("OMNI_RELAY__CALLERS__ACME__TENANT", "acme"),
    ("OMNI_RELAY__HTTP__LISTEN", "127.0.0.1:0"),
    ("OMNI_RELAY__HTTP__ADMIN_LISTEN", ""),
];

#[test]
fn things_are_held_examined_and_let_go_and_the_audit_says_by_whom() {
    let session = Session::new();
    let mut relay = session.start(&["serve", "--redis", "embedded"], SETTINGS);
    relay.line("\"listening\"");
    let socket = format!("unix://{}/.local/state/omni-relay/redis/redis.sock", session.home.path().display());
    let run = |line: &str| {
        let mut command = session.command(&line.split_whitespace().collect::<Vec<_>>());
        command.envs(SETTINGS).env("OMNI_RELAY__REDIS__URL", &socket).env("USER", "olga");
        command.assert()
    };
    let read = |line: &str| -> Value { serde_json::from_slice(&run(line).get_output().stdout).unwrap() };

    run("pause").success().stdout("nothing is paused\n");
    run("pause submit --why late").success().stdout("stage submit paused\n");
    run("pause submit").success().stdout("stage submit already paused\n");
    run("pause --tenant acme").success().stdout("tenant acme paused\n");
    run("pause sumbit").code(1).stderr(contains("there are intake, submit and process"));
    run("pause --tenant acmee").code(1).stderr(contains("there is no tenant"));
    run("pause submit --tenant acme").code(2);
    run("resume").code(1).stderr(contains("name a stage or a tenant"));
    run("pause").success().stdout(contains("stage:submit").and(contains("cli:olga")).and(contains("late")));
    let listed = read("pause -o json");
    assert_eq!(
        (&listed["items"][0]["what"], &listed["items"][1]["what"]),
        (&json!("stage:submit"), &json!("tenant:acme"))
    );

    let examined = run("doctor").code(1);
    let text = contains("FAIL  webhook address").and(contains("FAIL  omni")).and(contains("warn  pauses"));
    examined.stdout(text.and(contains("ok    redis memory")).and(contains("stage:submit by cli:olga")));
    let checks = read("doctor -o json");
    assert!(
        checks["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["state"] != "fail" || check["advice"].is_string())
    );

    let push =
        json!({"prompt": "revenue?", "conversation": "t-1", "idempotencyKey": "k", "tenant": "acme"}).to_string();
    let mut connection = redis::Client::open(socket.as_str()).unwrap().get_connection().unwrap();
    redis::cmd("XADD").arg("{relay}:intake").arg("*").arg("data").arg(push).query::<String>(&mut connection).unwrap();
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let story = loop {
        let story = session.command(&["explain", "k", "--tenant", "acme", "-o", "json"]);
        let mut story = story;
        story.envs(SETTINGS).env("OMNI_RELAY__REDIS__URL", &socket);
        let output = story.output().unwrap();
        if output.status.success() {
            break serde_json::from_slice::<Value>(&output.stdout).unwrap();
        }
        assert!(std::time::Instant::now() < give_up, "it is not accepted");
    };
    assert_eq!((&story["kind"], &story["conversation"]), (&json!("idempotency_key"), &json!("acme/t-1")));
    assert_eq!(story["next"]["cause"], "paused");
    let human = contains("it is accepted").and(contains("next: nothing: its tenant is paused, by cli:olga"));
    run(&format!("explain {}", story["promptId"].as_str().unwrap())).success().stdout(human);
    run("explain nothing").code(1).stderr(contains("nothing is known of nothing"));

    run("resume --tenant acme").success().stdout("tenant acme resumed\n");
    run("resume submit").success().stdout("stage submit resumed\n");
    run("resume submit").success().stdout("stage submit already resumed\n");
    let audit = read("audit list -o json");
    let said: Vec<String> =
        audit["items"].as_array().unwrap().iter().map(|one| format!("{} {}", one["what"], one["id"])).collect();
    let all = ["resume stage:submit", "resume tenant:acme", "pause tenant:acme", "pause stage:submit"];
    assert_eq!(said.iter().map(|one| one.replace('"', "")).collect::<Vec<_>>(), all);
    run("audit list --limit 1").success().stdout(contains("cli:olga").and(contains("more: --cursor ")));
    run("audit list --cursor x").code(2).stderr(contains("expected what the page before ended with"));
    relay.signal("TERM");
    assert_eq!(relay.end().0, Some(0), "{}", relay.said());
}

#[test]
fn a_configuration_that_cannot_be_used_is_a_finding_too() {
    let session = Session::new();
    let told = session.command(&["doctor"]).assert().code(1);
    told.stdout(contains("FAIL  configuration").and(contains("omni.base_url")).and(contains("config check")));
}
