//! Prompts go in, and their objects come out.

use std::time::{Duration, Instant};

use omni_relay::simulator::Behaviour;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{MODEL, Relay, eventually, pointers, problem, question};

const USER: &str = "22222222-2222-4222-8222-222222222222";

#[tokio::test]
async fn the_guide_s_own_bodies_are_answered() {
    let relay = Relay::start().await;
    let body = json!({"modelId": MODEL, "prompt": "revenue?", "userId": USER});
    let first = relay.post("/v1/prompts?wait=10", body.to_string()).send().await.unwrap();
    assert_eq!(first.status(), 200);
    let location = first.headers()["location"].to_str().unwrap().to_owned();
    let first: Value = first.json().await.unwrap();
    assert_eq!(location, format!("/v1/prompts/{}", first["promptId"].as_str().unwrap()));
    assert_eq!(first["phase"], "answered");
    assert_eq!(first["entry"]["type"], "omni.answer");
    assert_eq!(first["entry"]["data"]["promptId"], first["promptId"]);
    assert_eq!(first["entry"]["data"]["jobId"], first["jobId"]);
    let times: Vec<jiff::Timestamp> = first["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["at"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(times.len() >= 3 && times.is_sorted(), "{times:?}");
    assert_eq!(first["timeline"][0]["phase"], "queued");

    let next = json!({"modelId": MODEL, "prompt": "and last year?", "userId": USER,
                      "conversationId": first["conversationId"]});
    let next = relay.post("/v1/prompts?wait=10", next.to_string()).send().await.unwrap();
    assert_eq!(next.status(), 200);
    let next: Value = next.json().await.unwrap();
    assert_eq!(next["stream"], first["stream"]);
    assert_eq!(next["conversationId"], first["conversationId"]);
    let shown: Value = relay.get(&location).send().await.unwrap().json().await.unwrap();
    assert_eq!(shown["entry"], first["entry"]);
    relay.stop().await;
}

#[tokio::test]
async fn wrong_bodies_are_told_apart() {
    let relay = Relay::start().await;
    for malformed in ["", "{", "{\"prompt\": \"q\"} x", "\u{feff}{}"] {
        let answer = relay.post("/v1/prompts", malformed).send().await.unwrap();
        assert_eq!(problem(answer, 400).await["code"], "malformed_json", "{malformed:?}");
    }
    let wrong = question(&json!({"prompt": 1, "promt": "x", "conversation": "a b", "userId": USER}));
    let cases = [
        (wrong, vec!["/conversation", "/prompt", "/promt", "/userId"]),
        (json!([]), vec![""]),
        (json!({"prompt": "q"}), vec!["/user"]),
        (question(&json!({"modelId": "m"})), vec!["/modelId"]),
        (question(&json!({"tenant": "acme"})), vec!["/tenant"]),
        (question(&json!({"metadata": {"x": "y".repeat(5000)}})), vec!["/metadata"]),
        (question(&json!({"attachments": "x"})), vec!["/attachments"]),
        (
            question(&json!({"prompt": 1, "attachments": [{"data": "aGk=", "mimeType": "image/png"}, {"data": "?"}]})),
            vec!["/attachments/1/data", "/attachments/1/mimeType", "/prompt"],
        ),
    ];
    for (body, expected) in cases {
        let answer = relay.ask(&body).send().await.unwrap();
        let problem = problem(answer, 422).await;
        assert_eq!(problem["code"], "invalid_prompt");
        assert_eq!(pointers(&problem), expected, "{problem}");
    }
    let file = json!([{"data": "aGkh".repeat(1 << 20), "mimeType": "application/pdf"}]);
    for large in [json!({"prompt": "q".repeat(300 * 1024)}), json!({"attachments": file, "x": "q".repeat(300 * 1024)})]
    {
        let answer = relay.ask(&question(&large)).send().await.unwrap();
        assert_eq!(problem(answer, 413).await["code"], "payload_too_large");
    }
    for query in ["wait=61", "wait=-1", "wait=soon", "wait=", "wait=1&wait=1"] {
        let answer =
            relay.post(&format!("/v1/prompts?{query}"), question(&json!({})).to_string()).send().await.unwrap();
        assert_eq!(pointers(&problem(answer, 422).await), ["/wait"], "{query}");
    }
    let answer = relay.post("/v1/prompts?wiat=1", question(&json!({})).to_string()).send().await.unwrap();
    assert_eq!(pointers(&problem(answer, 422).await), ["/wiat"]);
    assert_eq!(relay.sim.jobs().len(), 0);
    relay.stop().await;
}

#[tokio::test]
async fn what_is_told_at_acceptance_is_what_a_look_finds() {
    let relay = Relay::start().await;
    // Nothing is submitted, so that nothing moves between the two.
    let pause = relay.post("/v1/stages/submit/pause", "").send().await.unwrap();
    assert!(pause.status().is_success(), "{}", pause.status());
    eventually("the stage is paused", async || {
        let ready: Value = relay.get("/readyz").send().await.ok()?.json().await.ok()?;
        ready.to_string().contains("pause").then_some(())
    })
    .await;
    for phase in ["queued", "waiting"] {
        let told = relay.ask(&question(&json!({"conversation": "t"}))).send().await.unwrap();
        assert_eq!(told.status(), 202);
        let told: Value = told.json().await.unwrap();
        let found = relay.get(&format!("/v1/prompts/{}", told["promptId"].as_str().unwrap())).send().await.unwrap();
        assert_eq!((told["phase"].as_str(), &told), (Some(phase), &found.json::<Value>().await.unwrap()));
    }
    relay.stop().await;
}

#[tokio::test]
async fn conversations_do_not_mix() {
    let relay = Relay::start().await;
    let (first, second) = (relay.answered("t-1").await, relay.answered("t-2").await);
    let cases = [
        (json!({"conversation": "t-1", "user": {"externalId": "emea-anna"}}), "conversation_user_mismatch"),
        (json!({"conversation": "t-1", "conversationId": second["conversationId"]}), "conversation_mismatch"),
    ];
    for (more, code) in cases {
        let answer = relay.ask(&question(&more)).send().await.unwrap();
        assert_eq!(problem(answer, 409).await["code"], code);
    }
    let both = json!({"conversation": "t-1", "conversationId": first["conversationId"]});
    assert_eq!(relay.ask_and_wait(&both).send().await.unwrap().status(), 200);
    relay.stop().await;
}

#[tokio::test]
async fn an_unknown_conversation_of_omni_is_not_adopted_for_a_tenant() {
    let relay =
        Relay::with(|sources| sources.with("callers.acme.key", "acme-key").with("callers.acme.tenant", "acme")).await;
    let unknown = json!({"conversationId": "33333333-3333-4333-8333-333333333333"});
    let under_a_name = json!({"conversation": "t", "conversationId": unknown["conversationId"]});
    for body in [&unknown, &under_a_name] {
        let answer = relay.ask(&question(body)).bearer_auth("acme-key").send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "conversation_not_found", "{body}");
    }
    let answered = relay.ask_and_wait(&json!({"conversation": "t"})).bearer_auth("acme-key").send().await.unwrap();
    let own: Value = answered.json().await.unwrap();
    let follow_up = json!({"conversation": "t", "conversationId": own["conversationId"]});
    let answer = relay.ask_and_wait(&follow_up).bearer_auth("acme-key").send().await.unwrap();
    assert_eq!(answer.status(), 200, "one's own is continued by either name");
    relay.stop().await;
}

#[tokio::test]
async fn an_unknown_conversation_of_omni_is_adopted_for_a_tenant_where_that_is_allowed() {
    let relay = Relay::with(|sources| {
        let sources = sources.with("callers.acme.key", "acme-key").with("callers.acme.tenant", "acme");
        sources.with("omni.adopt_conversations", "true")
    })
    .await;
    for body in [
        json!({"conversationId": "33333333-3333-4333-8333-333333333333"}),
        json!({"conversation": "t", "conversationId": "44444444-4444-4444-8444-444444444444"}),
    ] {
        let answer = relay.ask(&question(&body)).bearer_auth("acme-key").send().await.unwrap();
        assert_eq!(answer.status(), 202, "{body}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_repeat_finds_the_first() {
    let relay = Relay::start().await;
    let body = question(&json!({}));
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let request = relay.ask(&body).header("Idempotency-Key", "k-1");
        asking.spawn(async move { request.send().await.unwrap().json::<Value>().await.unwrap() });
    }
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|answer| answer["promptId"] == answers[0]["promptId"]), "{answers:?}");

    let field = relay.ask(&question(&json!({"idempotencyKey": "k-1"}))).send().await.unwrap();
    assert_eq!(field.json::<Value>().await.unwrap()["promptId"], answers[0]["promptId"]);
    let both = relay.ask(&question(&json!({"idempotencyKey": "k-1"}))).header("Idempotency-Key", "k-1");
    assert_eq!(both.send().await.unwrap().json::<Value>().await.unwrap()["promptId"], answers[0]["promptId"]);
    let other = relay.ask(&question(&json!({"prompt": "other"}))).header("Idempotency-Key", "k-1");
    assert_eq!(problem(other.send().await.unwrap(), 422).await["code"], "idempotency_key_reused");
    let disagree = relay.ask(&question(&json!({"idempotencyKey": "k-1"}))).header("Idempotency-Key", "k-2");
    assert_eq!(pointers(&problem(disagree.send().await.unwrap(), 422).await), ["/idempotencyKey"]);
    for wrong in ["", "a b", "é", &"k".repeat(257)] {
        let request = relay.ask(&question(&json!({"prompt": ""}))).header("Idempotency-Key", wrong);
        let found = problem(request.send().await.unwrap(), 422).await;
        assert_eq!(pointers(&found), ["/idempotencyKey", "/prompt"], "{wrong:?}");
    }
    let longest = relay.ask(&body).header("Idempotency-Key", "k".repeat(256)).send().await.unwrap();
    assert_eq!(longest.status(), 202);
    relay.stop().await;
}

#[tokio::test]
async fn a_wait_that_is_over_answers_as_if_there_had_been_none() {
    let relay = Relay::start().await;
    relay.sim.set_default(Behaviour::new().held());
    let before = Instant::now();
    let answer = relay.post("/v1/prompts?wait=1", question(&json!({})).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert!(before.elapsed() >= Duration::from_secs(1));
    let object: Value = answer.json().await.unwrap();
    assert_eq!(object.get("entry"), None);
    let path = format!("/v1/prompts/{}", object["promptId"].as_str().unwrap());
    assert_eq!(relay.get(&format!("{path}?wait=1")).send().await.unwrap().status(), 200);

    let waiting = relay.get(&format!("{path}?wait=60")).send();
    let release = async {
        let job = relay.sim.until(|sim| sim.jobs().first().map(|job| job.id)).await;
        relay.sim.release(job);
    };
    let (answer, ()) = tokio::join!(waiting, release);
    let ended: Value = answer.unwrap().json().await.unwrap();
    assert_eq!((&ended["phase"], &ended["entry"]["type"]), (&json!("answered"), &json!("omni.answer")));
    assert_eq!(ended["timeline"].as_array().unwrap().last().unwrap()["phase"], "answered");
    relay.stop().await;
}

#[tokio::test]
async fn a_stop_ends_the_wait() {
    let relay = Relay::start().await;
    relay.sim.set_default(Behaviour::new().held());
    let waiting = relay.post("/v1/prompts?wait=60", question(&json!({})).to_string()).send();
    let stop = async {
        relay.sim.until(|sim| sim.jobs().first().map(|_| ())).await;
        relay.lifecycle.request_stop();
    };
    let (answer, ()) = tokio::join!(waiting, stop);
    assert_eq!(answer.unwrap().status(), 202);
    relay.stop().await;
}

#[tokio::test]
async fn the_caller_s_trace_goes_on() {
    let relay = Relay::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = relay.ask(&question(&json!({}))).header("traceparent", trace).send().await.unwrap();
    let object: Value = answer.json().await.unwrap();
    let id = object["promptId"].as_str().unwrap().parse().unwrap();
    let record = relay.app.store.record(id).await.unwrap().unwrap();
    assert_eq!(record.traceparent, trace);
    relay.stop().await;
}

#[tokio::test]
async fn an_unknown_prompt_is_not_found() {
    let relay = Relay::start().await;
    for id in ["44444444-4444-4444-8444-444444444444", "no-uuid", "%20"] {
        let answer = relay.get(&format!("/v1/prompts/{id}")).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "prompt_not_found", "{id}");
    }
    relay.stop().await;
}
