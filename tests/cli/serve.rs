use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;

use crate::session::{ENOUGH, Running, Session};

/// Far below the grace of `serve`.
const AT_ONCE: Duration = Duration::from_secs(10);

#[test]
fn it_refuses_a_bad_configuration() {
    let session = Session::new();
    session
        .command(&["serve"])
        .env("OMNI_RELAY__OMNI__BASE_URL", "acme.omniapp.co")
        .env("OMNI_RELAY__HTTP__LISTEN", "everywhere")
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("omni.base_url").and(contains("omni.api_keys")).and(contains("http.listen")));
}

#[test]
fn it_starts_without_a_redis_and_stops_when_told() {
    let session = Session::new();
    for signal in ["TERM", "INT"] {
        let mut relay = session.start(&["serve"], ENOUGH);
        listening(&mut relay);
        relay.signal(signal);
        let (code, took) = relay.end();
        assert_eq!(code, Some(0), "{}", relay.said());
        assert!(took < AT_ONCE, "{took:?}");
        assert!(relay.said().contains("no callers are configured"), "{}", relay.said());
        assert!(!relay.said().contains("an-api-key"), "{}", relay.said());
    }
}

#[test]
fn a_second_signal_drops_what_still_runs_and_the_exit_code_tells() {
    let session = Session::new();
    let mut relay = session.start(&["serve"], ENOUGH);
    let address = listening(&mut relay);
    let mut request = TcpStream::connect(&address).unwrap();
    write!(request, "POST /v1/prompts HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n").unwrap();
    write!(request, "Content-Length: 100\r\nExpect: 100-continue\r\n\r\n").unwrap();
    // The relay says so when it begins to wait for the body.
    let mut answer = [0; 12];
    request.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");

    relay.signal("TERM");
    relay.line("\"stopping\"");
    assert!(relay.runs(), "the request is not answered yet");
    relay.signal("TERM");
    let (code, took) = relay.end();
    assert_eq!(code, Some(3), "{}", relay.said());
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn an_address_in_use_is_named() {
    let session = Session::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    session
        .command(&["serve"])
        .envs(ENOUGH)
        .env("OMNI_RELAY__HTTP__LISTEN", &address)
        .assert()
        .code(1)
        .stderr(contains(format!("failed to listen on {address}")));
}

/// Where it listens.
fn listening(relay: &mut Running) -> String {
    let line: Value = serde_json::from_str(&relay.line("\"listening\"")).unwrap();
    line["http"].as_str().unwrap().to_owned()
}
