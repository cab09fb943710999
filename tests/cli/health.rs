use std::net::TcpListener;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, starts_with};

use crate::session::{ENOUGH, Session};

#[test]
fn it_finds_the_relay_of_its_configuration() {
    let session = Session::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("0.0.0.0:{port}");
    let health = |arguments: &[&str]| {
        let mut command = session.command(&["health"]);
        command.args(arguments).env("OMNI_RELAY__HTTP__LISTEN", &listen);
        command.assert()
    };
    health(&[]).code(1).stdout("").stderr(starts_with("omni-relay: failed to reach the relay at http://127.0.0.1:"));

    // What it does stands in serve's arguments alone, and there is no Redis.
    let listening = [("OMNI_RELAY__HTTP__LISTEN", listen.as_str()), ("OMNI_RELAY__WEBHOOK__SECRETS", "a-secret")];
    let env = ENOUGH.into_iter().filter(|(name, _)| !name.contains("__OMNI__")).chain(listening);
    let mut relay = session.start(&["serve", "--roles", "receive"], env);
    assert!(relay.line("\"listening\"").contains("\"roles\":\"receive\""));
    health(&[]).code(0).stdout("/livez answered 200 OK\n").stderr("");
    let away = "omni-relay: /readyz answered 503 Service Unavailable: redis: ";
    health(&["--ready"]).code(1).stdout("").stderr(starts_with(away));
    let url = format!("http://127.0.0.1:{port}/");
    session.command(&["health", "--url", &url]).assert().code(0).stdout("/livez answered 200 OK\n");
    session.command(&["health", "--url", &format!("{url}elsewhere")]).assert().code(1).stderr(contains("404"));
    // Its relay runs, whatever became of the file.
    let broken = session.file("relay.toml", "roles = 7\n[omni]\nbase_url = 'everywhere'\n");
    health(&["--config", &broken]).code(0);
    relay.signal("TERM");
    assert_eq!(relay.end().0, Some(0), "{}", relay.said());
    health(&[]).code(1);
}

#[test]
fn it_says_what_keeps_it_from_asking() {
    let session = Session::new();
    let mut command = session.command(&["health"]);
    command.env("OMNI_RELAY__HTTP__LISTEN", "everywhere");
    command.assert().code(1).stdout("").stderr(contains("http.listen: expected").and(contains("HTTP__LISTEN")));
}
