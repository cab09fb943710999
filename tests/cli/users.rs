//! What an operator types to learn whom an external id stands for.

use predicates::str::contains;
use serde_json::{Value, json};

use crate::session::Session;

#[test]
fn a_user_is_resolved_remembered_and_forgotten() {
    let session = Session::new();
    let mut simulator = session.start(&["simulate", "--listen", "127.0.0.1:0"], []);
    let line = simulator.line("simulated Omni on http://");
    let omni = format!("http://{}", line.rsplit("http://").next().unwrap());
    let mut environment = vec![
        ("OMNI_RELAY__OMNI__BASE_URL", omni.as_str()),
        ("OMNI_RELAY__OMNI__API_KEYS", "an-api-key"),
        ("OMNI_RELAY__HTTP__LISTEN", "127.0.0.1:0"),
        ("OMNI_RELAY__HTTP__ADMIN_LISTEN", ""),
    ];
    let mut relay = session.start(&["serve", "--redis", "embedded"], environment.clone());
    relay.line("\"listening\"");
    let socket = format!("unix://{}/.local/state/omni-relay/redis/redis.sock", session.home.path().display());
    environment.push(("OMNI_RELAY__REDIS__URL", &socket));
    let run = |line: &str, code: i32| {
        let mut command = session.command(&line.split(' ').collect::<Vec<_>>());
        command.envs(environment.clone()).assert().code(code)
    };
    let read = |line: &str, code: i32| -> Value {
        serde_json::from_slice(&run(&format!("{line} -o json"), code).get_output().stdout).unwrap()
    };

    let first = read("users resolve emea-anna", 0);
    let id = first["userId"].as_str().unwrap();
    assert_eq!(first, json!({"externalId": "emea-anna", "userId": id, "cached": false}));
    assert_eq!(read("users resolve emea-anna", 0), json!({"externalId": "emea-anna", "userId": id, "cached": true}));
    run("users resolve emea-anna", 0).stdout(format!("emea-anna {id} (remembered)\n"));
    assert_eq!(read("users forget emea-anna", 0), json!({"externalId": "emea-anna", "outcome": "forgotten"}));
    assert_eq!(read("users forget emea-anna", 0), json!({"externalId": "emea-anna", "outcome": "not_cached"}));
    assert_eq!(read("users resolve emea-anna", 0)["cached"], false);

    let nobody = |cached: bool| json!({"externalId": "nora", "userId": null, "cached": cached});
    assert_eq!(read("users resolve nora", 1), nobody(false));
    assert_eq!(read("users resolve nora", 1), nobody(true));
    run("users resolve nora", 1).stdout(contains("nora omni knows nobody (remembered)"));
    run("users forget nora", 0).stdout("nora forgotten\n");

    relay.signal("TERM");
    assert_eq!(relay.end().0, Some(0), "{}", relay.said());
    simulator.signal("TERM");
    assert_eq!(simulator.end().0, Some(0));
    let asked = simulator.said();
    assert_eq!(asked.matches("/api/").count(), 3, "three looks: {asked}");
    assert!(!asked.contains("POST"), "nobody is created: {asked}");
}
