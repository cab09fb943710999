//! Runs over HTTP: who asks for which, what they answer, who sees them.

use serde_json::{Value, json};

use super::{Relay, eventually, pointers, problem};

const RUNS: &str = "/v1/dead-letter-runs";

/// A relay with three letters of nobody that cannot be read.
async fn relay() -> Relay {
    let relay = Relay::with(|sources| {
        sources
            .with("callers.acme.key", "acme-key")
            .with("callers.acme.tenant", "acme")
            .with("callers.acme.scopes", "prompts,read,ops")
            .with("callers.chat.key", "chat-key")
            .with("callers.operator.key", "operator-key")
            .with("callers.operator.scopes", "ops")
    })
    .await;
    let mut redis = relay.redis().await;
    for _ in 0..3 {
        let mut add = redis::cmd("XADD");
        add.arg(format!("{{{}}}:intake", relay.namespace)).arg("*").arg("data").arg("{");
        let _: String = add.query_async(&mut redis).await.unwrap();
    }
    eventually("they die", || async { (open(&relay).await == 3).then_some(()) }).await;
    relay
}

async fn read(relay: &Relay, path: &str) -> Value {
    let answer = relay.get(path).bearer_auth("operator-key").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

async fn open(relay: &Relay) -> usize {
    read(relay, "/v1/dead-letters").await["items"].as_array().unwrap().len()
}

async fn begun(relay: &Relay, order: &Value) -> String {
    let answer = relay.post(RUNS, order.to_string()).bearer_auth("operator-key").send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let run: Value = answer.json().await.unwrap();
    assert_eq!((&run["state"], &run["who"]), (&json!("running"), &json!("http:operator")));
    run["id"].as_str().unwrap().to_owned()
}

async fn ended(relay: &Relay, id: &str) -> Value {
    eventually("it ends", || async {
        let run = read(relay, &format!("{RUNS}/{id}")).await;
        (run["state"] != "running").then_some(run)
    })
    .await
}

#[tokio::test]
async fn a_dry_run_counts_and_a_run_decides() {
    let relay = relay().await;
    let dry = begun(&relay, &json!({"action": "discard", "filter": {"stage": "intake"}, "dryRun": true})).await;
    let run = ended(&relay, &dry).await;
    assert_eq!(
        (&run["state"], &run["counts"]["matched"], &run["counts"]["discarded"]),
        (&json!("done"), &json!(3), &json!(0))
    );
    assert_eq!((&run["groups"][0]["count"], run["samples"].as_array().unwrap().len()), (&json!(3), 3));
    assert_eq!(open(&relay).await, 3);

    let none = begun(&relay, &json!({"action": "discard", "filter": {"stage": "submit"}})).await;
    assert_eq!(ended(&relay, &none).await["counts"]["matched"], 0);
    let all = begun(&relay, &json!({"action": "discard", "rate": 0})).await;
    assert_eq!(ended(&relay, &all).await["counts"]["discarded"], 3);
    assert_eq!(open(&relay).await, 0);

    let first = read(&relay, &format!("{RUNS}?limit=2")).await;
    let second = read(&relay, &format!("{RUNS}?cursor={}", first["nextCursor"].as_str().unwrap())).await;
    let ids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!([ids(&first), ids(&second)].concat(), [all, none, dry]);
    relay.stop().await;
}

#[tokio::test]
async fn a_stopped_run_leaves_the_rest() {
    let relay = relay().await;
    let id = begun(&relay, &json!({"action": "discard", "rate": 1})).await;
    let stop = || relay.post(&format!("{RUNS}/{id}/stop"), "").bearer_auth("operator-key").send();
    let run: Value = stop().await.unwrap().json().await.unwrap();
    assert_eq!(run["state"], "stopped");
    assert_eq!(stop().await.unwrap().json::<Value>().await.unwrap()["endedAt"], run["endedAt"], "it stays as it is");
    let again = begun(&relay, &json!({"action": "discard", "rate": 0})).await;
    assert_eq!(ended(&relay, &again).await["state"], "done");
    assert_eq!(open(&relay).await, 0);
    relay.stop().await;
}

#[tokio::test]
async fn a_tenant_sees_its_own_runs_alone_and_wrong_orders_are_told() {
    let relay = relay().await;
    let id = begun(&relay, &json!({"action": "replay", "dryRun": true})).await;
    let path = format!("{RUNS}/{id}");
    for call in [relay.get(&path), relay.post(&format!("{path}/stop"), "")] {
        let refused = problem(call.bearer_auth("acme-key").send().await.unwrap(), 404).await;
        assert_eq!(refused["code"], "run_not_found");
    }
    let own = relay.post(RUNS, r#"{"action": "discard"}"#).bearer_auth("acme-key").send().await.unwrap();
    assert_eq!(own.json::<Value>().await.unwrap()["filter"]["tenant"], "acme");
    let listed: Value = relay.get(RUNS).bearer_auth("acme-key").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(relay.get(RUNS).bearer_auth("chat-key").send().await.unwrap().status(), 403);

    let foreign = r#"{"action": "discard", "filter": {"tenant": "globex"}}"#;
    let refused = problem(relay.post(RUNS, foreign).bearer_auth("acme-key").send().await.unwrap(), 404).await;
    assert_eq!(refused["code"], "tenant_not_found");
    for (wrong, pointer) in [
        (r#"{"action": "discard", "filter": {"stage": "inbox"}}"#, "/filter/stage"),
        (r#"{"action": "erase"}"#, "/action"),
    ] {
        let refused = problem(relay.post(RUNS, wrong).bearer_auth("acme-key").send().await.unwrap(), 422).await;
        assert_eq!((&refused["code"], pointers(&refused)), (&json!("invalid_run"), vec![pointer]));
    }
    assert_eq!(open(&relay).await, 3);
    relay.stop().await;
}
