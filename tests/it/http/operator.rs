//! What operators do over HTTP: pause, resume, explain, examine, look who did what; and who may.

use reqwest::Method;
use serde_json::{Value, json};

use super::dead::relay;
use super::{Relay, eventually, pointers, problem, question};

/// The status and the body of an answer.
async fn call(relay: &Relay, method: Method, path: &str, key: &str) -> (u16, Value) {
    let answer = relay.request(method, path).bearer_auth(key).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn post(relay: &Relay, path: &str, key: &str) -> (u16, Value) {
    call(relay, Method::POST, path, key).await
}

async fn get(relay: &Relay, path: &str, key: &str) -> (u16, Value) {
    call(relay, Method::GET, path, key).await
}

#[tokio::test]
async fn stages_and_tenants_are_paused_once_and_the_audit_says_by_whom() {
    let relay = relay().await;
    let ops = "operator-key";
    assert_eq!(get(&relay, "/v1/pauses", ops).await, (200, json!({"items": []})));
    let outcome = |word: &str| (200, json!({"outcome": word}));
    assert_eq!(post(&relay, "/v1/stages/submit/pause?why=Omni+is+slow", ops).await, outcome("paused"));
    assert_eq!(post(&relay, "/v1/stages/submit/pause", ops).await, outcome("already_paused"));
    assert_eq!(post(&relay, "/v1/tenants/acme/pause", "acme-key").await, outcome("paused"));

    let (_, pauses) = get(&relay, "/v1/pauses", ops).await;
    let items = pauses["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["stage"], &items[0]["who"]), (2, &json!("submit"), &json!("http:operator")));
    assert_eq!((&items[0]["why"], &items[1]["tenant"]), (&json!("Omni is slow"), &json!("acme")));
    let (_, theirs) = get(&relay, "/v1/pauses", "globex-key").await;
    assert_eq!(theirs["items"].as_array().unwrap().len(), 1, "of tenants one sees one's own: {theirs}");

    assert_eq!(post(&relay, "/v1/stages/submit/resume", ops).await, outcome("resumed"));
    assert_eq!(post(&relay, "/v1/stages/submit/resume", ops).await, outcome("already_resumed"));
    assert_eq!(post(&relay, "/v1/tenants/acme/resume", ops).await, outcome("resumed"));

    let said = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| format!("{} {} {}", item["who"], item["what"], item["id"]).replace('"', "")).collect()
    };
    let (_, first) = get(&relay, "/v1/audit?limit=3", ops).await;
    let newest =
        ["http:operator resume tenant:acme", "http:operator resume stage:submit", "http:acme pause tenant:acme"];
    assert_eq!(said(&first), newest);
    let (_, rest) = get(&relay, &format!("/v1/audit?cursor={}", first["nextCursor"].as_str().unwrap()), ops).await;
    assert_eq!(said(&rest), ["http:operator pause stage:submit"]);
    assert_eq!((&rest["items"][0]["details"], &rest["nextCursor"]), (&json!({"why": "Omni is slow"}), &Value::Null));
    relay.stop().await;
}

#[tokio::test]
async fn what_is_everybodys_is_not_for_callers_with_a_tenant() {
    let relay = relay().await;
    for (method, path) in [
        (Method::POST, "/v1/stages/submit/pause"),
        (Method::POST, "/v1/stages/submit/resume"),
        (Method::GET, "/v1/audit"),
        (Method::POST, "/v1/doctor"),
    ] {
        let answer = relay.request(method, path).bearer_auth("acme-key").send().await.unwrap();
        assert_eq!(problem(answer, 403).await["code"], "operators_only", "{path}");
    }
    for path in ["/v1/tenants/globex/pause", "/v1/tenants/nobody/pause", "/v1/tenants/globex/resume"] {
        let answer = relay.request(Method::POST, path).bearer_auth("acme-key").send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "tenant_not_found", "{path}");
    }
    let answer = relay.request(Method::POST, "/v1/tenants/nobody/pause").bearer_auth("operator-key").send().await;
    assert_eq!(problem(answer.unwrap(), 404).await["code"], "tenant_not_found", "most likely misspelt");
    let answer = relay.request(Method::POST, "/v1/stages/sumbit/pause").bearer_auth("operator-key").send().await;
    assert_eq!(problem(answer.unwrap(), 404).await["code"], "stage_not_found");
    for (path, pointer) in [
        (format!("/v1/stages/submit/pause?why={}", "x".repeat(501)), "/why"),
        ("/v1/stages/submit/pause?reason=x".to_owned(), "/reason"),
        ("/v1/stages/submit/pause?why=x&why=y".to_owned(), "/why"),
    ] {
        let answer = relay.request(Method::POST, &path).bearer_auth("operator-key").send().await.unwrap();
        assert_eq!(pointers(&problem(answer, 422).await), [pointer], "{path}");
    }
    let nothing = json!({"items": [], "nextCursor": null});
    assert_eq!(get(&relay, "/v1/audit?cursor=0-0", "operator-key").await, (200, nothing), "before everything");
    for query in ["cursor=1", "cursor=%2B", "limit=0", "limit=201", "limit=x", "before=1"] {
        let answer = relay.get(&format!("/v1/audit?{query}")).bearer_auth("operator-key").send().await.unwrap();
        assert_eq!(problem(answer, 422).await["code"], "invalid_parameter", "{query}");
    }
    let (_, audit) = get(&relay, "/v1/audit", "operator-key").await;
    assert_eq!(audit["items"], json!([]), "nothing of it happened");
    relay.stop().await;
}

#[tokio::test]
async fn a_story_is_told_by_any_id_to_those_who_may_hear_it() {
    let relay = relay().await;
    let body = question(&json!({"conversation": "t-1", "idempotencyKey": "order 7"}));
    let asked = relay.post("/v1/prompts?wait=10", body.to_string()).bearer_auth("acme-key").send().await.unwrap();
    let object: Value = asked.json().await.unwrap();
    let (prompt, job) = (object["promptId"].as_str().unwrap(), object["jobId"].as_str().unwrap());
    eventually("it is answered", || async {
        let (_, story) = get(&relay, &format!("/v1/explain/{prompt}"), "acme-key").await;
        (story["phase"] == "answered").then_some(())
    })
    .await;
    let entry = format!("{prompt}:omni.answer");
    for (id, kind) in [
        (prompt, "prompt"),
        (job, "job"),
        (entry.as_str(), "event"),
        ("order%207", "idempotency_key"),
        ("idempotency:order%207", "idempotency_key"),
    ] {
        let (status, story) = get(&relay, &format!("/v1/explain/{id}"), "acme-key").await;
        assert_eq!((status, &story["kind"], &story["promptId"]), (200, &json!(kind), &json!(prompt)), "{story}");
        assert_eq!(story["next"], Value::Null, "all has happened: {story}");
        let steps: Vec<&str> =
            story["steps"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
        for step in
            ["it is accepted", "it is sent to Omni", "Omni takes it", "omni.answer is published", "it is answered"]
        {
            assert!(steps.contains(&step), "{step} is not in {steps:?}");
        }
        let text = story.to_string();
        assert!(!text.contains(body["prompt"].as_str().unwrap()), "a story has no prompts in it: {text}");
    }
    for id in ["t-1", "conversation:t-1", object["conversationId"].as_str().unwrap()] {
        let (status, story) = get(&relay, &format!("/v1/explain/{id}"), "acme-key").await;
        assert_eq!((status, &story["kind"], &story["conversation"]), (200, &json!("conversation"), &json!("acme/t-1")));
    }
    let (status, _) = get(&relay, "/v1/explain/t-1?tenant=acme", "operator-key").await;
    assert_eq!(status, 200);
    for (path, key) in [
        (format!("/v1/explain/{prompt}"), "globex-key"),
        (format!("/v1/explain/{job}"), "globex-key"),
        (format!("/v1/explain/{entry}"), "globex-key"),
        ("/v1/explain/t-1?tenant=acme".to_owned(), "globex-key"),
        ("/v1/explain/acme%2Ft-1".to_owned(), "globex-key"),
        ("/v1/explain/idempotency:order%207".to_owned(), "globex-key"),
        ("/v1/explain/idempotency:order%207".to_owned(), "operator-key"),
        (format!("/v1/explain/job:{prompt}"), "acme-key"),
        ("/v1/explain/22222222-2222-4222-8222-222222222222".to_owned(), "operator-key"),
        ("/v1/explain/process-1-0".to_owned(), "operator-key"),
    ] {
        let answer = relay.get(&path).bearer_auth(key).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "nothing_known", "{path} {key}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn an_examination_finds_all_well_and_says_what_is_not() {
    let relay = relay().await;
    eventually("every stage is read", || async {
        let (_, seen) = post(&relay, "/v1/doctor", "operator-key").await;
        let checks = seen["checks"].as_array().unwrap();
        checks.iter().all(|check| check["state"] != "fail").then_some(())
    })
    .await;
    let (_, seen) = post(&relay, "/v1/doctor", "operator-key").await;
    let check = |name: &str| {
        let found = seen["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {seen}")).clone()
    };
    assert_eq!(check("webhook address")["state"], "ok");
    assert!(check("webhook address")["seen"].as_str().unwrap().contains("came back"));
    for name in ["redis memory", "redis latency", "clock", "stage submit", "backlog", "dead letters", "pauses", "omni"]
    {
        assert_eq!(check(name)["state"], "ok", "{seen}");
    }
    let count = relay.sim.jobs().len();
    assert_eq!(count, 0, "no job was created for it");
    post(&relay, "/v1/stages/process/pause", "operator-key").await;
    let (_, seen) = post(&relay, "/v1/doctor", "operator-key").await;
    let found = seen["checks"].as_array().unwrap().iter().find(|check| check["name"] == "pauses").unwrap();
    assert_eq!((&found["state"], found["advice"].is_string()), (&json!("warn"), true), "{found}");
    assert!(found["seen"].as_str().unwrap().contains("stage:process by http:operator"), "{found}");
    post(&relay, "/v1/stages/process/resume", "operator-key").await;
    let mut add = redis::cmd("XADD");
    add.arg(format!("{{{}}}:intake", relay.namespace)).arg("*").arg("data").arg("{");
    let _: String = add.query_async(&mut relay.redis().await).await.unwrap();
    let told = "1 wait for a person; 1 of the last 1 died in intake of: ";
    eventually("the letter and its cause are seen", || async {
        let (_, seen) = post(&relay, "/v1/doctor", "operator-key").await;
        let found = seen["checks"].as_array().unwrap().iter().find(|check| check["name"] == "dead letters").unwrap();
        found["seen"].as_str().unwrap().starts_with(told).then_some(())
    })
    .await;
    relay.stop().await;
}

#[tokio::test]
async fn an_examination_asks_for_users_at_both_spellings() {
    let relay = Relay::start().await;
    let fault = |path| {
        let kind = omni_relay::simulator::FaultKind::Status(404, None);
        relay.sim.fault(omni_relay::simulator::Fault::new("GET", path, kind));
    };
    let omni = async || {
        let seen: Value = relay.post("/v1/doctor", "").send().await.unwrap().json().await.unwrap();
        seen["checks"].as_array().unwrap().iter().find(|check| check["name"] == "omni").unwrap()["state"].clone()
    };
    assert_eq!(omni().await, "ok");
    // The simulator knows the other spelling no better.
    fault("/Users");
    assert_eq!(omni().await, "fail");
    relay.stop().await;
}

#[tokio::test]
async fn an_examination_tells_a_wrong_address_from_a_wrong_key() {
    let other = Relay::start().await;
    // A relay answers there, with the same secret and another namespace.
    let elsewhere = other.url("/webhooks/omni");
    let relay = Relay::with(|sources| sources.with("webhook.public_url", elsewhere)).await;
    relay.sim.fault(omni_relay::simulator::Fault::new(
        "GET",
        "/Users",
        omni_relay::simulator::FaultKind::Status(401, None),
    ));
    let seen: Value = relay.post("/v1/doctor", "").send().await.unwrap().json().await.unwrap();
    let check = |name: &str| seen["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap();
    for (name, words) in [("webhook address", "another Redis or namespace"), ("omni", "organization admin")] {
        let found = check(name);
        assert_eq!(found["state"], "fail", "{found}");
        assert!(found["advice"].as_str().unwrap().contains(words), "{found}");
    }
    relay.stop().await;
    other.stop().await;
}
