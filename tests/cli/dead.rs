//! What an operator types when prompts could not be asked.

use std::thread;
use std::time::{Duration, Instant};

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::session::Session;

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
        let give_up = Instant::now() + PATIENCE;
        loop {
            let list = self.json("dead list");
            if list["items"].as_array().unwrap().len() == count {
                return list;
            }
            assert!(Instant::now() < give_up, "waiting for {count} letters: {list}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn letters_are_listed_shown_replayed_and_discarded() {
    let session = Session::new();
    let socket = format!("unix://{}/.local/state/omni-relay/redis/redis.sock", session.home.path().display());
    let operator = Operator { session, socket };
    let environment = operator.environment().into_iter().filter(|(name, _)| *name != "OMNI_RELAY__REDIS__URL");
    let mut relay = operator.session.start(&["serve", "--redis", "embedded"], environment);
    relay.line("\"listening\"");
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
    assert_eq!(operator.json(&format!("dead discard {first}")), json!({"id": first, "outcome": "discarded"}));
    operator.letters(0);
    operator.command(&format!("dead discard {first}")).assert().success().stdout(contains("already"));

    let ended = |id: &str| {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let object = operator.json(&format!("prompt show {id}"));
            if object["entry"].is_object() {
                return object;
            }
            assert!(Instant::now() < give_up, "waiting for the end of {object}");
            thread::sleep(Duration::from_millis(50));
        }
    };
    assert_eq!(ended(second)["entry"]["type"], "omni.cancelled");
    assert_eq!(ended(first)["entry"]["data"]["error"]["code"], "discarded");
    let human = contains("failed").and(contains("an operator discarded the prompt"));
    operator.command(&format!("prompt show {first}")).assert().success().stdout(human);
    let unknown = "prompt show 22222222-2222-4222-8222-222222222222";
    operator.command(unknown).assert().code(1).stderr(contains("there is no prompt 22222222"));

    let audit: Vec<(String, Vec<String>)> = operator.redis(redis::cmd("XRANGE").arg("{relay}:audit").arg("-").arg("+"));
    let said: Vec<String> = audit.into_iter().map(|(_, words)| format!("{} {}", words[1], words[3])).collect();
    assert_eq!(said, ["cli:olga cancel", "cli:olga replay", "cli:olga discard"]);
    relay.signal("TERM");
    assert_eq!(relay.end().0, Some(0), "{}", relay.said());
}
