//! A relay with an embedded Redis, asked over HTTP and looked at with `tail`.

use serde_json::Value;

use crate::session::{Running, Session};

const SECRET: &str = "secret-between-relay-and-simulator";
const MODEL: &str = "11111111-2222-4333-8444-555555555555";

#[test]
fn tail_shows_history_and_what_comes() {
    let session = Session::new();
    let mut simulator = session.start(&["simulate", "--listen", "127.0.0.1:0", "--duration", "10ms"], []);
    let omni = simulator.line("simulated Omni on ").replace("simulated Omni on ", "");
    let socket = socket(&session);
    let (relay, url) = serve(&session, &omni);
    let env = |command: &str| {
        let mut command = session.command(&command.split_whitespace().collect::<Vec<_>>());
        command.envs([
            ("OMNI_RELAY__OMNI__BASE_URL", omni.as_str()),
            ("OMNI_RELAY__OMNI__API_KEYS", "an-api-key"),
            ("OMNI_RELAY__REDIS__URL", &socket),
        ]);
        command
    };
    let ask = |prompt: &str| {
        session.command(&["ask", prompt, "--url", &url, "--conversation", "t-1"]).assert().success();
    };

    ask("Revenue by region?");
    let events = lines(&env("tail t-1 --once -o json").assert().success());
    let kinds: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["omni.prompt.accepted", "omni.job.submitted", "omni.answer"]);
    assert_eq!(events[2]["subject"], "t-1");
    let shown = env("tail t-1 --once").assert().success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(shown.lines().last().unwrap().contains("omni.answer t-1 ### Revenue by region"), "{shown}");

    // One that waits for what comes sees that alone.
    let mut follower = session.start(
        &["tail", "--answers", "-o", "json"],
        [
            ("OMNI_RELAY__OMNI__BASE_URL", omni.as_str()),
            ("OMNI_RELAY__OMNI__API_KEYS", "k"),
            ("OMNI_RELAY__REDIS__URL", &socket),
        ],
    );
    let first: Value = serde_json::from_str(&follower.line("omni.answer")).unwrap();
    ask("And by month?");
    let second: Value = serde_json::from_str(&follower.line("omni.answer")).unwrap();
    assert_eq!(first["id"], events[2]["id"]);
    assert_ne!(first["id"], second["id"]);

    let file = session.file("chart.png", b"hi");
    let with_file = ["ask", "[sim:slow=1s] What is this?", "--attach", &file, "--progress", "--conversation", "t-2"];
    session.command(&with_file).args(["--url", &url]).assert().success();
    let shown = env("tail t-2 --once").assert().success();
    let shown = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(shown.contains("omni.job.progress t-2 Searching for the right topic"), "{shown}");
    let text = session.file("notes.txt", b"hi");
    let refused = session.command(&["ask", "What is this?", "--attach", &text, "--url", &url]).assert().code(1);
    refused.stderr(predicates::str::contains("expected a name that ends in .png"));

    stop(relay);
    // Its Redis went with it.
    env("tail t-1").assert().code(1).stderr(predicates::str::contains("redis is unavailable"));
    let (relay, _) = serve(&session, &omni);
    assert_eq!(lines(&env("tail t-1 --once -o json").assert().success()), events, "what it held is still there");
    stop(relay);
    simulator.signal("TERM");
    assert_eq!(simulator.end().0, Some(0));
}

#[test]
fn only_a_signed_event_is_taken() {
    let session = Session::new();
    let (relay, url) = serve(&session, "http://127.0.0.1:1");
    let receiver = format!("{url}/webhooks/omni");
    let send = |secret: &str| {
        session.command(&["webhook", "send", &receiver]).env("OMNI_RELAY_WEBHOOK_SECRET", secret).assert()
    };
    send(SECRET).success().stdout(predicates::str::starts_with("200"));
    send("another").code(1).stdout(predicates::str::starts_with("401"));
    stop(relay);
}

#[test]
fn a_relay_does_not_outlive_its_redis() {
    let session = Session::new();
    let (mut relay, _) = serve(&session, "http://127.0.0.1:1");
    let mut redis = redis::Client::open(socket(&session)).unwrap();
    // Answered by nothing but the end of the connection.
    let _closed = redis::cmd("SHUTDOWN").query::<()>(&mut redis);
    assert_eq!(relay.end().0, Some(1), "{}", relay.said());
    assert!(relay.said().contains("the embedded redis ended"), "{}", relay.said());
}

/// A relay that is ready, and where it answers.
fn serve(session: &Session, omni: &str) -> (Running, String) {
    // Omni is told the address before the relay has it.
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = format!("http://{listen}");
    let mut relay = session.start(
        &["serve", "--redis", "embedded"],
        [
            ("OMNI_RELAY__HTTP__LISTEN", listen.as_str()),
            ("OMNI_RELAY__HTTP__ADMIN_LISTEN", ""),
            ("OMNI_RELAY__OMNI__BASE_URL", omni),
            ("OMNI_RELAY__OMNI__API_KEYS", "an-api-key"),
            ("OMNI_RELAY__OMNI__MODEL_ID", MODEL),
            ("OMNI_RELAY__OMNI__RUN_AS_KEY_OWNER", "true"),
            ("OMNI_RELAY__WEBHOOK__PUBLIC_URL", &format!("{url}/webhooks/omni")),
            ("OMNI_RELAY__WEBHOOK__SECRETS", SECRET),
        ],
    );
    relay.line("\"listening\"");
    (relay, url)
}

fn socket(session: &Session) -> String {
    format!("unix://{}/.local/state/omni-relay/redis/redis.sock", session.home.path().display())
}

fn stop(mut relay: Running) {
    relay.signal("TERM");
    assert_eq!(relay.end().0, Some(0), "{}", relay.said());
}

fn lines(assert: &assert_cmd::assert::Assert) -> Vec<Value> {
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
