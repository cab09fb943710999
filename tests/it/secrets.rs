//! P12: what customers say and what opens doors stands in no log line and no metric, even at the most talkative level.

use omni_relay::simulator::{Behaviour, Fault, FaultKind};
use serde_json::json;

use crate::world::{MODEL, Process, SECRET, World, eventually, text};

/// A file of a customer's.
const FILE: &str = "Ym9va3Mgb2YgQUNNRQ==";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_logged_or_measured() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let log = ("RUST_LOG", "trace,h2=info,hyper_util=info,reqwest=info");
    let process = Process::start(&world, &[log, ("OMNI_RELAY__RESULTS__CHARTS", "true")]).await;
    let user = json!({"externalId": "emea-anna", "name": "Anna Geheim", "email": "anna@geheim.example"});
    let secrets = [
        "ACME pays",
        "Geheim",
        "geheim",
        "emea-anna",
        "metadata-of-acme",
        "ledger-of-acme",
        "books-of-acme",
        "opinion-of-acme",
        "right topic",
        FILE,
        SECRET,
        "omni_osk_test",
    ];

    let body = json!({"prompt": "revenue by region where ACME pays", "user": user, "conversation": "thread", "progress": true,
                      "metadata": {"note": "metadata-of-acme"},
                      "attachments": [{"data": FILE, "mimeType": "image/png", "name": "books-of-acme.png"}]});
    let answered = world.ask_with(body).await;
    let answer = world.eventually_answered(&answered).await;
    let message = text(&answer["data"], "message");
    let of_answer = |name: &str| format!("{}/v1/prompts/{}/{name}", world.url, answered.id);
    let opinion = json!({"rating": "bad", "comment": "opinion-of-acme"});
    world.sim.fault(Fault::new("POST", "/feedback", FaultKind::Status(503, None)));
    for status in [502, 204, 409] {
        let rated = world.http.post(of_answer("feedback")).json(&opinion).send().await.unwrap();
        assert_eq!(rated.status(), status);
    }
    assert_eq!(world.http.get(of_answer("chart.png")).send().await.unwrap().status(), 200);

    world.sim.next_job(Behaviour::new().failed("E1", "no table ledger-of-acme"));
    let failed = world.ask_with(json!({"prompt": "what ACME pays", "user": user, "conversation": "thread"})).await;
    world.eventually_ends(&failed).await;
    world.sim.next_job(Behaviour::new().refused(400));
    let refused = world.ask_with(json!({"prompt": "what ACME pays", "user": user, "conversation": "thread"})).await;
    world.eventually_ends(&refused).await;
    world.sim.fault(Fault::new("GET", "/result", FaultKind::Status(503, None)).times(10));
    let dead = world.ask_with(json!({"prompt": "what ACME pays", "user": user, "conversation": "thread"})).await;
    world.eventually_in(&dead, "dead").await;
    world.push(&json!({"prompt": "q", "modelId": MODEL, "userId": MODEL, "what ACME pays us": 1}).to_string()).await;
    eventually("the pushed prompt is a dead letter", async || (world.letters().await.len() == 2).then_some(())).await;
    let wrong = world.post(&json!({"what ACME pays": "Geheim", "user": user})).await;
    assert_eq!(wrong.status(), 422);
    world.sim.heal();
    users(&world).await;
    agents(&world).await;
    let metrics = world.get("/metrics").await.text().await.unwrap();

    let log = process.log();
    assert!(log.iter().any(|line| line.contains("dead letter")), "this looked at the wrong log: {log:#?}");
    assert!(metrics.contains("omni_relay_dead_letters_total"), "{metrics}");
    let answers = message.lines().filter(|line| line.len() > 20);
    for secret in secrets.into_iter().chain(answers) {
        let told: Vec<&String> = log.iter().filter(|line| line.contains(secret)).collect();
        assert!(told.is_empty(), "{secret:?} is in the log: {told:#?}");
        assert!(!metrics.contains(secret), "{secret:?} is in the metrics");
    }
}

/// One who is made, after a failure and a refusal; one who is not there; one whose remembered id is dead.
async fn users(world: &World) {
    let nora = json!({"externalId": "nora@geheim.example", "name": "Nora Geheim", "groups": ["group-geheim"],
                      "userAttributes": {"attribute-geheim": "value-geheim"}});
    world.sim.fault(Fault::new("POST", "/generate-session", FaultKind::Status(503, None)));
    let made = world.ask_with(json!({"prompt": "what ACME pays", "user": nora})).await;
    world.eventually_answered(&made).await;
    world.sim.fault(Fault::new("POST", "/generate-session", FaultKind::Status(403, None)));
    let mut norbert = nora;
    norbert["externalId"] = "norbert@geheim.example".into();
    let nobody = json!({"externalId": "nobody@geheim.example"});
    world.sim.remove_user("nora@geheim.example");
    let gone = json!({"externalId": "nora@geheim.example"});
    for user in [norbert, nobody, gone] {
        let refused = world.ask_with(json!({"prompt": "what ACME pays", "user": user})).await;
        let code = world.eventually_ends(&refused).await["data"]["error"]["code"].take();
        assert!(code == "user_not_created" || code == "user_not_found", "{code}");
    }
}

/// One whose user is known, one whose user is not, one with a session of nobody's.
async fn agents(world: &World) {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                         "params": {"name": "tool-geheim", "arguments": {"question": "what ACME pays"}}});
    for (user, session) in [("emea-anna", None), ("norbert@geheim.example", None), ("emea-anna", Some("geheim"))] {
        let request = world.http.post(format!("{}/mcp", world.url)).json(&message);
        let request = request.header("X-Relay-User", user).header("Mcp-Name", "tool-geheim");
        let request = request.header("X-MCP-Topic-Name", "topic-geheim");
        let request = session.into_iter().fold(request, |request, name| request.header("Mcp-Session-Id", name));
        let status = request.send().await.unwrap().status();
        assert!(status == 404 || status == 403, "{status}");
    }
    world.sim.fault(Fault::new("POST", "/mcp/https", FaultKind::Status(503, None)));
    let failed = world.http.post(format!("{}/mcp", world.url)).json(&message).header("X-Relay-User", "emea-anna");
    assert_eq!(failed.send().await.unwrap().status(), 502);
}
