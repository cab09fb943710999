//! Everything together, as `./dev demo` runs it. Needs a redis-server or valkey-server.

use omni_relay::store::embedded::{ServerBinary, default_search};

use crate::session::Session;
use crate::simulate::get;

#[test]
fn once_shows_two_answers_and_checks_them() {
    ServerBinary::find(&default_search()).expect("the demo needs a Redis server");
    let session = Session::new();
    let demo = session.command(&["demo", "--once"]).assert().success();
    let text = String::from_utf8(demo.get_output().stdout.clone()).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("demo: ok, 6 entries of 2 answered prompts, 4 requests to Omni"), "{text}");
    assert!(!text.contains('\x1b'), "colours are for terminals: {text}");
    let kinds = ["omni.prompt.accepted", "omni.job.submitted", "omni.answer"];
    let shown: Vec<&str> =
        text.lines().filter_map(|line| kinds.into_iter().find(|kind| line.ends_with(kind))).collect();
    assert_eq!(shown, [kinds, kinds].concat(), "{text}");
}

#[test]
fn it_stays_up_until_it_is_stopped() {
    let session = Session::new();
    let mut demo = session.start(&["demo"], []);
    let line = demo.line("omni-relay ask");
    let words: Vec<&str> = line.split_whitespace().collect();
    let value = |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1];
    let ask = ["ask", "Revenue by region?", "--url", value("--url"), "--user-id", value("--user-id")];

    let answer = session.command(&ask).args(["--conversation", "demo"]).assert().success();
    let text = String::from_utf8(answer.get_output().stdout.clone()).unwrap();
    assert!(text.contains("Revenue by region") && text.contains('│'), "{text}");
    let json = session.command(&ask).args(["-o", "json"]).assert().success();
    let entry: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert_eq!(entry["type"], "omni.answer");
    let failed = session.command(&["ask", "[sim:failed] Why?"]).args(&ask[2..]).assert().code(1);
    assert!(String::from_utf8_lossy(&failed.get_output().stdout).contains("omni.failed"));
    let refused = session.command(&["ask", ""]).args(&ask[2..]).assert().code(1);
    let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(text.contains("422") && text.contains("/prompt: "), "{text}");

    let console = demo.line("a browser at ");
    let (address, path) = console.split_once("http://").unwrap().1.split_once('/').unwrap();
    let page = get(address, &format!("/{path}"));
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<h1>Overview</h1>"), "{page}");

    demo.signal("INT");
    assert_eq!(demo.end().0, Some(0), "{}", demo.said());
}
