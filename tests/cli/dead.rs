//! What an operator types when prompts could not be asked.

use std::thread;
use std::time::{Duration, Instant};

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::session::{Running, Session};

const PATIENCE: Duration = Duration::from_secs(30);

/// A relay whose Omni nobody reaches, so that every prompt dies at its first attempt.
struct Operator {
    session: Session,
    socket: String,
}

impl Operator {
    fn command(&self, line: &str) -> assert_cmd::Command {
        let mut command = self.session.command(&line.split_whitespace().collect::<Vec<_>>());
        command.envs(self.environment()).env("USER", "olga");
        command
    }

    fn environment(&self) -> [(&str, &str); 8] {
        [
            ("OMNI_RELAY__OMNI__BASE_URL", "http://127.0.0.1:1"),
            ("OMNI_RELAY__OMNI__API_KEYS", "an-api-key"),
            ("OMNI_RELAY__OMNI__MODEL_ID", "11111111-2222-4333-8444-555555555555"),
            ("OMNI_RELAY__OMNI__RUN_AS_KEY_OWNER", "true"),
            ("OMNI_RELAY__REDIS__URL", &self.socket),
            ("OMNI_RELAY__RETRY__ATTEMPTS", "1"),
            ("OMNI_RELAY__HTTP__LISTEN", "127.0.0.1:0"),
            ("OMNI_RELAY__HTTP__ADMIN_LISTEN", ""),
        ]
    }

    fn json(&self, line: &str) -> Value {
        let assert = self.command(&format!("{line} -o json")).assert().success();
        serde_json::from_slice(&assert.get_output().stdout).unwrap()
    }

    fn redis<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let mut connection = redis::Client::open(self.socket.as_str()).unwrap().get_connection().unwrap();
        command.query(&mut connection).unwrap()
    }

    fn push(&self, conversation: &str) {
        let body = json!({"prompt": "revenue?", "conversation": conversation}).to_string();
        self.redis::<String>(redis::cmd("XADD").arg("{relay}:intake").arg("*").arg("data").arg(body));
    }

    /// The open letters, once there are so many.
    fn letters(&self, count: usize) -> Value {
        self.until("dead list", |list| list["items"].as_array().unwrap().len() == count)
    }

    /// What a command says, once it is what is waited for.
    fn until(&self, line: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let said = self.json(line);
            if fits(&said) {
                return said;
            }
            assert!(Instant::now() < give_up, "{line}: {said}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Operator {
    fn new() -> Self {
        let session = Session::new();
        let socket = format!("unix://{}/.local/state/omni-relay/redis/redis.sock", session.home.path().display());
        Self { session, socket }
    }

    fn relay(&self) -> Running {
        let environment = self.environment().into_iter().filter(|(name, _)| *name != "OMNI_RELAY__REDIS__URL");
        let mut relay = self.session.start(&["serve", "--redis", "embedded"], environment);
        relay.line("\"listening\"");
        relay
    }
}

#[test]
fn many_letters_are_decided_on_at_once() {
    let operator = Operator::new();
    let mut relay = operator.relay();
    for n in 0..4 {
        operator.push(&format!("t-{n}"));
    }
    operator.letters(4);
    let groups = operator.json("dead list --group");
    assert_eq!((&groups["groups"][0]["count"], &groups["groups"][1]), (&json!(4), &Value::Null));
    operator.command("dead list --group").assert().success().stdout(contains("retries_exhausted"));
    let export = operator.command("dead export --stage submit").assert().success();
    let export = String::from_utf8(export.get_output().stdout.clone()).unwrap();
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["conversation"]), (4, &json!("t-0")), "the oldest is not the first");
    assert!(lines.iter().all(|whole| whole["history"].is_array() && whole["traceId"].as_str().unwrap().len() == 32));

    operator.command("dead discard").assert().code(2).stderr(contains("required"));
    operator.command("dead discard --all --stage submit").assert().code(2);
    operator.command("dead discard --text").arg("").assert().code(2).stderr(contains("--text"));
    let dry = operator.json("dead discard --all --dry-run");
    assert_eq!(
        (&dry["state"], &dry["counts"]["matched"], &dry["counts"]["discarded"]),
        (&json!("done"), &json!(4), &json!(0))
    );
    let none = operator.json("dead discard --stage process");
    assert_eq!((&none["state"], &none["counts"]["matched"]), (&json!("done"), &json!(0)));

    // Killed while it drives a run: the relay goes on.
    let arguments = ["dead", "discard", "--stage", "submit", "--rate", "1"];
    let mut driver = operator.session.start(&arguments, operator.environment());
    let said = driver.line("a relay goes on with it");
    operator.letters(3);
    driver.signal("KILL");
    assert_eq!(driver.end().0, None);
    let id = said.strip_prefix("run ").unwrap().split(':').next().unwrap();
    operator.command(&format!("run show {id}")).assert().success().stdout(contains("running").and(contains("discard")));
    operator.letters(0);
    let run = operator.until(&format!("run show {id}"), |run| run["state"] != "running");
    assert_eq!(
        (&run["state"], &run["counts"]["discarded"], &run["counts"]["already"]),
        (&json!("done"), &json!(4), &json!(0))
    );
    let runs = operator.json("run list");
    assert_eq!((runs["items"].as_array().unwrap().len(), &runs["items"][0]["id"]), (3, &json!(id)));
    operator.command("run list").assert().success().stdout(contains(id).and(contains("discard, dry")));
    assert_eq!(operator.json(&format!("run stop {id}"))["state"], "done");
    operator.command("run stop nothing").assert().code(1).stderr(contains("there is no run nothing"));
    relay.signal("TERM");
    assert_eq!(relay.end().0, Some(0), "{}", relay.said());
}

#[test]
fn letters_are_listed_shown_replayed_and_discarded() {
    let operator = Operator::new();
    let mut relay = operator.relay();
    operator.command("dead list").assert().success().stdout("no dead letters\n");

    operator.push("t-1");
    operator.letters(1);
    operator.push("t-2");
    let list = operator.letters(2);
    assert_eq!(list["nextCursor"], Value::Null);
    let ids: Vec<&str> = list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    let (second, first) = (ids[0], ids[1]);
    assert_eq!(list["items"][1]["conversation"], "t-1");
    let table = contains("retries_exhausted").and(contains(first)).and(contains("t-2"));
    operator.command("dead list --stage submit").assert().success().stdout(table);
    operator.command("dead list --stage process").assert().success().stdout("no dead letters\n");
    let page = operator.json("dead list --limit 1");
    assert_eq!(page["items"][0]["id"], second);
    let rest = operator.json(&format!("dead list --cursor {}", page["nextCursor"].as_str().unwrap()));
    assert_eq!((&rest["items"][0]["id"], &rest["nextCursor"]), (&json!(first), &Value::Null));
    operator.command("dead list --limit 1").assert().success().stdout(contains("more: --cursor "));

    let shown = operator.json(&format!("dead show {first}"));
    assert_eq!(shown["history"].as_array().unwrap().len(), 1);
    assert!(shown["original"].as_str().unwrap().contains(first));
    operator.command(&format!("dead show {first}")).assert().success().stdout(contains("submit").and(contains("t-1")));
    operator.command("dead show nobody").assert().code(1).stderr(contains("there is no open dead letter nobody"));

    let cancelled = operator.json(&format!("prompt cancel {second}"));
    assert_eq!(cancelled["promptId"], second);
    operator.letters(1);
    let both = operator.command(&format!("dead replay {first} nobody")).assert().code(1);
    both.stdout(format!("{first} replayed\nnobody unknown\n"));
    let again = operator.letters(1);
    assert_eq!(again["items"][0]["id"], first, "it dies again: nobody reaches Omni");
    let edit = |patch: &str| operator.command(&format!("dead replay {first} --edit {patch}")).assert();
    edit(r#"{"deadlineSeconds":0}"#).code(1).stderr(contains("/deadlineSeconds must be a whole number"));
    edit(r#"{"prompt":"revenue?!"}"#).success().stdout(format!("{first} replayed\n"));
    operator.letters(1);
    assert_eq!(operator.json(&format!("dead discard {first}")), json!({"id": first, "outcome": "discarded"}));
    operator.letters(0);
    operator.command(&format!("dead discard {first}")).assert().success().stdout(contains("already"));

    let ended = |id: &str| operator.until(&format!("prompt show {id}"), |prompt| prompt["entry"].is_object());
    assert_eq!(ended(second)["entry"]["type"], "omni.cancelled");
    assert_eq!(ended(first)["entry"]["data"]["error"]["code"], "discarded");
    let human = contains("failed").and(contains("an operator discarded the prompt"));
    operator.command(&format!("prompt show {first}")).assert().success().stdout(human);
    let unknown = "prompt show 22222222-2222-4222-8222-222222222222";
    operator.command(unknown).assert().code(1).stderr(contains("there is no prompt 22222222"));

    let audit: Vec<(String, Vec<String>)> = operator.redis(redis::cmd("XRANGE").arg("{relay}:audit").arg("-").arg("+"));
    let said: Vec<String> = audit.into_iter().map(|(_, words)| format!("{} {}", words[1], words[3])).collect();
    assert_eq!(said, ["cli:olga cancel", "cli:olga replay", "cli:olga replay", "cli:olga discard"]);
    relay.signal("TERM");
    assert_eq!(relay.end().0, Some(0), "{}", relay.said());
}
