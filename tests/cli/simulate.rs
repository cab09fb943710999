use std::io::{Read, Write};
use std::net::TcpStream;

use predicates::str::contains;

use crate::session::Session;

#[test]
fn it_answers_tells_of_it_and_stops() {
    let session = Session::new();
    for (signal, quiet) in [("TERM", false), ("INT", true)] {
        let mut arguments = vec!["simulate", "--listen", "127.0.0.1:0", "--duration", "10ms..20ms"];
        arguments.extend(quiet.then_some("--quiet"));
        let mut simulator = session.start(&arguments, []);
        let line = simulator.line("simulated Omni on http://");
        let address = line.rsplit("http://").next().unwrap();

        let response = get(address, "/api/v1/ai/jobs/11111111-2222-4333-8444-555555555555");
        assert!(response.starts_with("HTTP/1.1 401"), "{response}");
        if !quiet {
            let line = simulator.line("/api/v1/ai/jobs/");
            assert!(line.contains("GET") && line.contains("401"), "{line}");
        }
        simulator.signal(signal);
        assert_eq!(simulator.end().0, Some(0));
        assert_eq!(simulator.said().contains("/api/"), !quiet, "{}", simulator.said());
    }
}

#[test]
fn an_address_in_use_is_named() {
    let session = Session::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    session
        .command(&["simulate", "--listen", &address])
        .assert()
        .code(1)
        .stderr(contains(format!("failed to listen on {address}")));
}

/// The whole answer.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}
