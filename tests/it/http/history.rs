//! What was answered, whole; and a conversation's history, page by page.

use omni_relay::simulator::Behaviour;
use serde_json::{Value, json};

use super::events::{publish, publish_with};
use super::sse::Events;
use super::{Relay, pointers, problem, question};

const URL: &str = "/v1/conversations/t-1/entries";

async fn page(relay: &Relay, query: &str) -> Value {
    let answer = relay.get(&format!("{URL}{query}")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{query}");
    answer.json().await.unwrap()
}

async fn result(relay: &Relay, object: &Value) -> reqwest::Response {
    relay.get(&format!("/v1/prompts/{}/result", object["promptId"].as_str().unwrap())).send().await.unwrap()
}

#[tokio::test]
async fn a_result_is_whole_wherever_it_stands() {
    let relay = Relay::with(|sources| sources.with("results.inline_max", "64KiB")).await;
    let small = relay.answered("t-1").await;
    let answer = result(&relay, &small).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let whole: Value = answer.json().await.unwrap();
    let data = &small["entry"]["data"];
    for name in ["message", "actions", "omniChatUrl"] {
        assert!(!data[name].is_null() && whole[name] == data[name], "{name}: {whole}");
    }
    assert_eq!(whole.get("promptId"), None);

    relay.sim.next_job(Behaviour::new().huge_result(300 * 1024));
    let huge = relay.answered("t-2").await;
    let reference = &huge["entry"]["data"]["resultRef"];
    let answer = result(&relay, &huge).await;
    assert_eq!(answer.headers()["content-type"], "application/json");
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(reference["bytes"], bytes.len());
    let whole: Value = serde_json::from_slice(&bytes).unwrap();
    assert!(whole["message"].is_string() && whole["actions"].is_array());

    let _: usize =
        redis::cmd("DEL").arg(reference["key"].as_str().unwrap()).query_async(&mut relay.redis().await).await.unwrap();
    assert_eq!(
        problem(result(&relay, &huge).await, 404).await["code"],
        "result_not_found",
        "its head alone is no result"
    );
    relay.stop().await;
}

#[tokio::test]
async fn without_an_answer_there_is_no_result() {
    let relay = Relay::start().await;
    relay.sim.next_job(Behaviour::new().never());
    let answer = relay.ask(&question(&json!({"conversation": "t-1"}))).send().await.unwrap();
    let object: Value = answer.json().await.unwrap();
    let early = problem(result(&relay, &object).await, 404).await;
    assert_eq!((&early["code"], &early["detail"]), (&json!("result_not_found"), &json!("there is no answer yet")));
    relay.sim.next_job(Behaviour::new().failed("QUERY_TIMEOUT", "the warehouse did not answer"));
    let failed = relay.answered("t-2").await;
    assert_eq!(failed["phase"], "failed");
    let none = problem(result(&relay, &failed).await, 404).await;
    assert_eq!(
        (&none["code"], &none["detail"]),
        (&json!("result_not_found"), &json!("the prompt ended without an answer"))
    );
    for id in ["44444444-4444-4444-8444-444444444444", "no-uuid"] {
        let answer = relay.get(&format!("/v1/prompts/{id}/result")).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "prompt_not_found", "{id}");
    }
    relay.lifecycle.request_stop();
}

#[tokio::test]
async fn a_history_is_read_page_by_page_and_goes_on_as_events() {
    let relay = Relay::start().await;
    let object = relay.answered("t-1").await;
    let mut written = Vec::new();
    for _ in 0..4 {
        written.push(publish(&relay.app.store).await);
    }
    let all = page(&relay, "").await;
    let items = all["items"].as_array().unwrap();
    assert_eq!((items.len(), &all["next"], &all["position"]), (7, &Value::Null, &json!(written[3])));
    assert_eq!(items[2], object["entry"]);
    let mut events = Events::open(relay.get("/v1/conversations/t-1/events")).await;
    let streamed: Vec<Value> = events.take(7).await.into_iter().map(|frame| frame.data).collect();
    assert_eq!(*items, streamed, "the same entries in the same form");

    let (mut read, mut after) = (Vec::new(), String::new());
    for size in [3, 3, 1] {
        let page = page(&relay, &format!("?limit=3{after}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), size);
        assert_eq!(page.get("gap"), None);
        read.extend(page["items"].as_array().unwrap().clone());
        assert_eq!(page["next"].is_null(), size == 1);
        after = format!("&after={}", page["position"].as_str().unwrap());
    }
    assert_eq!(read, *items);
    let last = page(&relay, "?limit=7").await;
    assert_eq!(last["next"], Value::Null, "a full page may be the last");
    let end = page(&relay, &format!("?after={}", written[3])).await;
    assert_eq!((&end["items"], &end["position"]), (&json!([]), &json!(written[3])));
    let omnis = format!("/v1/conversations/{}/entries?limit=3", object["conversationId"].as_str().unwrap());
    let alias: Value = relay.get(&omnis).send().await.unwrap().json().await.unwrap();
    assert_eq!(alias["items"][2], object["entry"]);
    relay.stop().await;
}

/// A page goes by the connection that all else goes by: what is large comes a few at a time.
#[tokio::test]
async fn a_page_of_large_entries_is_short_and_leads_to_the_next() {
    let relay = Relay::start().await;
    relay.answered("t-1").await;
    let large = json!({"text": "x".repeat(400 * 1024)});
    for _ in 0..20 {
        publish_with(&relay.app.store, &large).await;
    }
    let (mut read, mut after) = (0, String::new());
    loop {
        let page = page(&relay, &format!("?limit=100{after}")).await;
        let items = page["items"].as_array().unwrap();
        assert!(page.to_string().len() < 4 * 1024 * 1024, "{} at once", items.len());
        read += items.len();
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(read, 23);
    relay.stop().await;
}

#[tokio::test]
async fn a_trimmed_history_says_so_and_what_is_no_page_is_told() {
    let relay = Relay::start().await;
    let mut written = Vec::new();
    for _ in 0..4 {
        written.push(publish(&relay.app.store).await);
    }
    let mut trim = redis::cmd("XTRIM");
    trim.arg(format!("{}:conversation:{{t-1}}", relay.namespace)).arg("MINID").arg(&written[2]);
    let _: usize = trim.query_async(&mut relay.redis().await).await.unwrap();
    let late = page(&relay, &format!("?after={}", written[0])).await;
    assert_eq!(late["gap"], json!({"from": written[0], "to": written[2]}));
    assert_eq!(late["items"].as_array().unwrap().len(), 2);
    assert_eq!(page(&relay, "").await.get("gap"), None, "the beginning of what is kept is no gap");

    for wrong in ["x", "$", "1-2-3", ""] {
        let answer = relay.get(&format!("{URL}?after={wrong}")).send().await.unwrap();
        assert_eq!(problem(answer, 400).await["code"], "invalid_position", "{wrong}");
    }
    for (wrong, at) in [("limit=0", "/limit"), ("limit=101", "/limit"), ("from=0", "/from")] {
        let answer = relay.get(&format!("{URL}?{wrong}")).send().await.unwrap();
        assert_eq!(pointers(&problem(answer, 422).await), [at]);
    }
    for unknown in ["t-2", "a%20b", "acme%2Ft-1", "55555555-5555-4555-8555-555555555555"] {
        let answer = relay.get(&format!("/v1/conversations/{unknown}/entries")).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "conversation_not_found", "{unknown}");
    }
    relay.stop().await;
}
