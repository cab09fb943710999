//! Failures are problem documents wherever they come from, and probes answer.

use std::collections::BTreeSet;

use omni_relay::runtime::metrics::METRICS;
use omni_relay::simulator::{Behaviour, Fault, FaultKind, User};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{MODEL, Relay, problem, question};
use crate::contract::Call;

#[tokio::test]
async fn every_failure_is_a_problem() {
    let relay = Relay::start().await;
    for (path, code) in [("/", "not_found"), ("/v2/prompts", "not_found"), ("/v1/prompts/", "not_found")] {
        assert_eq!(problem(relay.get(path).send().await.unwrap(), 404).await["code"], code, "{path}");
    }
    let wrong_method = relay.get("/webhooks/omni").send().await.unwrap();
    assert_eq!(wrong_method.headers()["allow"], "POST");
    assert_eq!(problem(wrong_method, 405).await["code"], "method_not_allowed");
    let wrong_path = relay.get("/v1/prompts/%ff").send().await.unwrap();
    assert_eq!(problem(wrong_path, 400).await["code"], "bad_request");
    let large = relay.post("/webhooks/omni", vec![b' '; 2 * 1024 * 1024]).send().await.unwrap();
    assert_eq!(problem(large, 401).await["code"], "unauthorized", "its size does not matter: nobody signed it");
    relay.stop().await;
}

/// As clients do that write all of a request before they read its answer.
#[tokio::test]
async fn an_answer_is_not_lost_to_a_caller_who_is_still_writing() {
    let relay =
        Relay::with(|sources| sources.with("callers.reader.key", "reader-key").with("callers.reader.scopes", "read"))
            .await;
    for (path, size, key, status) in [
        ("/v1/prompts", 8 << 20, "reader-key", "403"),
        ("/v1/prompts", 17 << 20, "reader-key", "403"),
        ("/v1/prompts", 100 << 10, "nobodys-key", "401"),
        ("/webhooks/omni", 2 << 20, "", "401"),
        ("/nowhere", 1 << 20, "", "404"),
    ] {
        let mut wire = relay.wire().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {key}\r\ncontent-length: {size}\r\n\r\n"
        );
        wire.write_all(head.as_bytes()).await.unwrap();
        wire.write_all(&vec![b' '; size]).await.expect("the relay listens to the end");
        let mut answer = [0; 12];
        wire.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{path} {size}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let relay = Relay::start().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = relay.ask(&question(&json!({}))).header("X-Request-Id", "the caller's").send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        ids.push(answer.headers()["x-request-id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| uuid::Uuid::parse_str(id.to_str().unwrap()).is_ok()), "{ids:?}");
    relay.stop().await;
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let relay = Relay::start().await;
    assert_eq!(relay.get("/livez").send().await.unwrap().status(), 200);
    let report = super::eventually("the relay is ready", || async {
        let answer = relay.get("/readyz").send().await.unwrap();
        (answer.status() == 200).then_some(answer)
    })
    .await;
    assert_eq!(report.json::<Value>().await.unwrap()["ready"], true);
    relay.answered("t-1").await;
    let metrics = relay.get("/metrics").send().await.unwrap();
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4");
    // What is looked at now and then is there after the first look.
    let text = super::eventually("everything is looked at", || async {
        let text = relay.get("/metrics").send().await.unwrap().text().await.unwrap();
        text.contains("omni_relay_budget_limit_requests{key=\"1\"}").then_some(text)
    })
    .await;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, labels) = sample(line);
        let metric = METRICS.iter().find(|metric| metric.name == base(name));
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        let mut own: Vec<&str> = labels.into_iter().filter(|label| *label != "le").collect();
        own.sort_unstable();
        let mut table = metric.labels.to_vec();
        table.sort_unstable();
        assert_eq!(own, table, "{line}");
    }
    for expected in [
        "omni_relay_prompts_accepted_total{via=\"http\"}",
        "omni_relay_stage_lag_entries{stage=\"submit\"}",
        "omni_relay_stage_oldest_age_seconds{stage=\"process\"}",
        "omni_relay_accepted_to_entry_seconds_count{type=\"omni.answer\"}",
        "omni_relay_budget_used_requests{key=\"1\"}",
        "omni_relay_redis_duration_seconds_count",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    relay.stop().await;
}

/// The name of a sample, and its labels.
fn sample(line: &str) -> (&str, Vec<&str>) {
    let (name, rest) = line.split_once(['{', ' ']).unwrap();
    let labels = rest.split_once('}').map_or("", |(labels, _)| labels).split(',').filter(|pair| !pair.is_empty());
    (name, labels.map(|pair| pair.split_once('=').unwrap().0).collect())
}

/// The metric of a sample.
fn base(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// Status, code, detail.
type Row = (u16, String, String);

/// The rows of the table of problems.
fn documented() -> BTreeSet<Row> {
    let text = include_str!("../../../docs/PROTOCOL.md");
    let table = text.split("| status | `code` | `detail` | |").nth(1).unwrap().lines().skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let detail = if cells[3] == "–" { "" } else { cells[3] };
        (cells[1].parse().unwrap(), cells[2].trim_matches('`').to_owned(), detail.to_owned())
    });
    rows.collect()
}

/// Collects problems as their callers see them.
#[derive(Default)]
struct Seen(BTreeSet<Row>);

impl Seen {
    async fn see(&mut self, request: Call) {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let problem = problem(answer, status).await;
        let text = |name: &str| problem.get(name).map_or_else(String::new, |text| text.as_str().unwrap().to_owned());
        self.0.insert((status, text("code"), text("detail")));
    }
}

#[tokio::test]
async fn every_problem_stands_in_the_table_word_by_word() {
    let mut seen = Seen::default();
    without_callers(&mut seen).await;
    without_charts(&mut seen).await;
    with_callers(&mut seen).await;
    over_mcp(&mut seen).await;
    let mut expected = documented();
    let before = expected.len();
    // What no request of a caller brings about; tests of their own hold these.
    expected.retain(|(_, code, _)| {
        !["request_timeout", "internal", "unavailable", "omni_timeout"].contains(&code.as_str())
    });
    assert_eq!(before - expected.len(), 4);
    assert_eq!(seen.0, expected);
}

async fn without_callers(seen: &mut Seen) {
    let relay = Relay::with(|sources| sources.with("results.charts", "true")).await;
    let ask = |more: Value| relay.ask(&question(&more));
    for path in [
        "/",
        "/v1/prompts/%ff",
        "/v1/prompts:batch",
        "/v1/prompts/x",
        "/v1/prompts/x?wait=x",
        "/v1/conversations/x/events",
        "/v1/conversations/x/events?from=x",
        "/v1/conversations/x/entries",
        "/v1/dead-letters/x",
        "/v1/dead-letter-runs/x",
        "/v1/explain/nothing",
    ] {
        seen.see(relay.get(path)).await;
    }
    seen.see(relay.post("/v1/dead-letter-runs", "{}")).await;
    not_editable(seen, &relay).await;
    seen.see(relay.get("/v1/prompts/x").header("Origin", "https://evil.example.com")).await;
    seen.see(relay.post("/v1/conversations/x/token", "")).await;
    seen.see(relay.post("/v1/stages/x/pause", "")).await;
    seen.see(relay.post("/v1/prompts", "{")).await;
    seen.see(relay.post("/v1/prompts", "{}")).await;
    seen.see(relay.post("/v1/prompts:batch", "{}")).await;
    seen.see(relay.post("/v1/prompts", vec![b' '; 16 * 1024 * 1024])).await;
    seen.see(relay.post("/webhooks/omni", "{}")).await;

    let (first, second) = (relay.answered("t-1").await, relay.answered("t-2").await);
    of_omni(&relay, &first, seen).await;
    seen.see(ask(json!({"conversation": "t-1", "user": {"externalId": "emea-anna"}}))).await;
    seen.see(ask(json!({"conversation": "t-1", "conversationId": second["conversationId"]}))).await;
    relay.ask_and_wait(&json!({"idempotencyKey": "k"})).send().await.unwrap();
    seen.see(ask(json!({"idempotencyKey": "k", "prompt": "another"}))).await;

    let result = |object: &Value| relay.get(&format!("/v1/prompts/{}/result", object["promptId"].as_str().unwrap()));
    let mut trim = redis::cmd("XTRIM");
    trim.arg(first["stream"].as_str().unwrap()).arg("MAXLEN").arg(0);
    let _: usize = trim.query_async(&mut relay.redis().await).await.unwrap();
    seen.see(result(&first)).await;
    relay.sim.next_job(Behaviour::new().failed("QUERY_TIMEOUT", "the warehouse did not answer"));
    let failed = relay.answered("t-3").await;
    seen.see(result(&failed)).await;
    seen.see(chart(&relay, &failed)).await;
    relay.sim.next_job(Behaviour::new().refused(400));
    seen.see(rate(&relay, &relay.answered("t-4").await, "good")).await;
    relay.sim.next_job(Behaviour::new().never());
    let unfinished: Value = ask(json!({})).send().await.unwrap().json().await.unwrap();
    seen.see(result(&unfinished)).await;
    seen.see(chart(&relay, &unfinished)).await;
    seen.see(rate(&relay, &unfinished, "good")).await;
    relay.lifecycle.request_stop();
}

/// A letter that is no prompt.
async fn not_editable(seen: &mut Seen, relay: &Relay) {
    let mut add = redis::cmd("XADD");
    add.arg(format!("{{{}}}:inbox", relay.namespace)).arg("*").arg("entry").arg("?");
    let entry: String = add.query_async(&mut relay.redis().await).await.unwrap();
    let path = format!("/v1/dead-letters/process-{entry}");
    super::eventually("it dies", || async { (relay.get(&path).send().await.unwrap().status() == 200).then_some(()) })
        .await;
    seen.see(relay.post(&format!("{path}/replay"), r#"{"edit": {"prompt": "revenue?"}}"#)).await;
}

async fn tokens(seen: &mut Seen, relay: &Relay) {
    let asked = relay.ask_and_wait(&json!({"conversation": "t-1"})).bearer_auth("reader-key");
    asked.send().await.unwrap();
    let mint = |wish: &'static str| relay.post("/v1/conversations/t-1/token", wish).bearer_auth("reader-key");
    seen.see(mint(r#"{"ttlSeconds": 0}"#)).await;
    seen.see(relay.get("/v1/conversations/t-1/entries?token=x")).await;
    let minted: Value = mint(r#"{"ttlSeconds": 1}"#).send().await.unwrap().json().await.unwrap();
    let path = format!("/v1/conversations/t-1/entries?token={}", minted["token"].as_str().unwrap());
    super::eventually("the token expires", || async {
        (relay.get(&path).send().await.unwrap().status() == 401).then_some(())
    })
    .await;
    seen.see(relay.get(&path)).await;
}

fn chart(relay: &Relay, object: &Value) -> Call {
    relay.get(&format!("/v1/prompts/{}/chart.png", object["promptId"].as_str().unwrap()))
}

fn rate(relay: &Relay, object: &Value, rating: &str) -> Call {
    let path = format!("/v1/prompts/{}/feedback", object["promptId"].as_str().unwrap());
    relay.post(&path, json!({"rating": rating}).to_string())
}

/// What Omni has to do with: charts and feedback.
async fn of_omni(relay: &Relay, answered: &Value, seen: &mut Seen) {
    for status in [503, 403, 404] {
        relay.sim.fault(Fault::new("GET", "/vis", FaultKind::Status(status, None)).times(1));
        seen.see(chart(relay, answered)).await;
    }
    seen.see(rate(relay, answered, "so-so")).await;
    assert_eq!(rate(relay, answered, "good").send().await.unwrap().status(), 204);
    seen.see(rate(relay, answered, "bad")).await;
}

/// Charts are off; then they are on, and the window is used up.
async fn without_charts(seen: &mut Seen) {
    let relay = Relay::with(|sources| sources).await;
    let answered = relay.answered("t-1").await;
    seen.see(chart(&relay, &answered)).await;
    let poor = Relay::on(&relay.redis_url, &relay.namespace, |sources| {
        sources.with("results.charts", "true").with("omni.requests_per_minute", "1")
    })
    .await;
    seen.see(chart(&poor, &answered)).await;
    for relay in [relay, poor] {
        relay.stop().await;
    }
}

async fn with_callers(seen: &mut Seen) {
    let relay = Relay::with(|sources| {
        sources
            .with("callers.acme.key", "acme-key")
            .with("callers.acme.tenant", "acme")
            .with("callers.acme.scopes", "prompts")
            .with("callers.reader.key", "reader-key")
            .with("callers.reader.tenant", "acme")
            .with("callers.ours.key", "ours-key")
            .with("callers.ours.tenant", "acme")
            .with("callers.ours.scopes", "ops")
            .with("tokens.secrets", "a secret of at least thirty-two bytes")
    })
    .await;
    tokens(seen, &relay).await;
    let ask = || relay.ask(&question(&json!({}))).bearer_auth("acme-key");
    seen.see(relay.get("/v1/prompts/x").bearer_auth("acme-key")).await;
    for path in ["/v1/stages/submit/pause", "/v1/tenants/nobody/pause"] {
        seen.see(relay.post(path, "").bearer_auth("ours-key")).await;
    }
    for (field, full) in [("prompts:acme", 20_000), ("prompts", 100_000)] {
        let mut fill = redis::cmd("HINCRBY");
        fill.arg(format!("{{{}}}:backlog", relay.namespace)).arg(field);
        let _: i64 = fill.clone().arg(full).query_async(&mut relay.redis().await).await.unwrap();
        seen.see(ask()).await;
        let _: i64 = fill.arg(-full).query_async(&mut relay.redis().await).await.unwrap();
    }
    for _ in 0..21 {
        seen.see(relay.get("/v1/prompts/x").bearer_auth("wrong")).await;
    }
    relay.stop().await;
}

async fn over_mcp(seen: &mut Seen) {
    let relay = Relay::with(|sources| {
        sources
            .with("callers.agents.key", "agents-key")
            .with("callers.agents.scopes", "mcp")
            .with("callers.agents.models", MODEL)
            .with("callers.agents.topics", "orders")
    })
    .await;
    let user = |user: &str| relay.post("/mcp", "{}").bearer_auth("agents-key").header("X-Relay-User", user);
    let dana = || user("demo-dana");
    let mut inactive = User::new("inge", "Inge");
    inactive.active = false;
    for user in [inactive, User::new("double", "One"), User { id: uuid::Uuid::nil(), ..User::new("double", "Two") }] {
        relay.sim.add_user(user);
    }
    seen.see(dana().header("X-MCP-Model-ID", "22222222-2222-4222-8222-222222222222")).await;
    seen.see(dana().header("X-MCP-Topic-Name", "staff")).await;
    seen.see(dana().header("Mcp-Session-Id", "another's")).await;
    for name in ["nobody", "inge", "double"] {
        seen.see(user(name)).await;
    }
    // A refused key is not tried again, so that comes last.
    for (status, retry_after) in [(500, None), (429, Some(1)), (401, None)] {
        relay.sim.fault(Fault::new("POST", "/mcp/https", FaultKind::Status(status, retry_after)));
        seen.see(dana()).await;
    }
    relay.stop().await;
}
