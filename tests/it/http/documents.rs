//! The documents of the interface: whole, true to what people read, and a page that needs nobody else.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use omni_relay::model::EntryType;
use serde_json::{Value, json};
use url::Position;

use super::Relay;
use crate::contract::Contract;

const PROTOCOL: &str = include_str!("../../../docs/PROTOCOL.md");

async fn document(relay: &Relay, path: &str) -> Value {
    let answer = relay.get(path).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    answer.json().await.unwrap()
}

/// The first cells of a table of docs/PROTOCOL.md, by the heading of its first columns.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let table = PROTOCOL.split(heading).nth(1).unwrap().lines().skip(2).take_while(|line| line.starts_with('|'));
    table.map(|line| line.split('|').skip(1).map(str::trim).collect()).collect()
}

#[tokio::test]
async fn every_call_of_the_table_is_described_and_no_other() {
    let relay = Relay::start().await;
    let openapi = document(&relay, "/openapi.json").await;
    assert_eq!(
        (&openapi["openapi"], &openapi["info"]["version"]),
        (&json!("3.1.0"), &json!(env!("CARGO_PKG_VERSION")))
    );
    let calls = openapi["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let calls: BTreeSet<String> = calls.collect();
    let table = rows("| call | scope | |").into_iter().flat_map(|cells| cells[0].split('`'));
    // For people: a page, not a call.
    let table = table.filter(|call| call.contains(" /") && *call != "GET /docs").map(ToOwned::to_owned);
    assert_eq!(calls, table.collect());
    relay.stop().await;
}

#[tokio::test]
async fn every_problem_of_the_table_is_an_answer_to_some_call() {
    let relay = Relay::start().await;
    let openapi = document(&relay, "/openapi.json").await;
    let mut described = BTreeSet::new();
    for item in openapi["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for (status, answer) in operation["responses"].as_object().unwrap() {
                if answer["content"].get("application/problem+json").is_some() {
                    let codes = answer["description"].as_str().unwrap().split('`').skip(1).step_by(2);
                    described.extend(codes.map(|code| (status.clone(), code.to_owned())));
                }
            }
        }
    }
    let table = rows("| status | `code` | `detail` | |").into_iter();
    let table: BTreeSet<_> = table.map(|cells| (cells[0].to_owned(), cells[1].trim_matches('`').to_owned())).collect();
    let codes: BTreeSet<_> = table.iter().map(|(_, code)| Value::from(code.as_str()).to_string()).collect();
    let named = openapi["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
    assert_eq!(named.iter().map(Value::to_string).collect::<BTreeSet<_>>(), codes);
    // Of no call, but of addresses and methods that are none.
    let elsewhere = [("404", "not_found"), ("405", "method_not_allowed")];
    described.extend(elsewhere.map(|(status, code)| (status.to_owned(), code.to_owned())));
    assert_eq!(described, table);
    relay.stop().await;
}

#[tokio::test]
async fn streams_are_named_as_they_are_in_this_redis() {
    let relay = Relay::start().await;
    let asyncapi = document(&relay, "/asyncapi.json").await;
    let address = |channel: &str| asyncapi["channels"][channel]["address"].as_str().unwrap();
    let namespace = &relay.namespace;
    assert_eq!(address("answers"), format!("{{{namespace}}}:answers"));
    assert_eq!(address("intake"), format!("{{{namespace}}}:intake"));
    assert_eq!(address("conversation"), format!("{namespace}:conversation:{{conversation}}"));
    let messages = |channel: &str| {
        let messages = asyncapi["channels"][channel]["messages"].as_object().unwrap();
        messages.keys().cloned().collect::<BTreeSet<_>>()
    };
    let types = EntryType::ALL.map(|kind| kind.as_str().to_owned());
    assert_eq!(messages("conversation"), BTreeSet::from(types.clone()));
    assert_eq!(messages("events"), types.into_iter().chain(["gap".to_owned()]).collect());
    let answers = EntryType::ALL.into_iter().filter(|kind| kind.is_terminal() || *kind == EntryType::Delayed);
    assert_eq!(messages("answers"), answers.map(|kind| kind.as_str().to_owned()).collect());

    // What is told of them really is under these names.
    let object = relay.answered("t-1").await;
    assert_eq!(object["stream"], address("conversation").replace("{conversation}", "{t-1}"));
    let length: usize = redis::cmd("XLEN").arg(address("answers")).query_async(&mut relay.redis().await).await.unwrap();
    assert_eq!(length, 1);
    relay.stop().await;
}

#[tokio::test]
async fn what_the_documents_do_not_name_does_not_pass() {
    let relay = Relay::start().await;
    let entry = relay.answered("t-1").await["entry"].take();
    let contract = Contract::of(&relay.get("").url()[..Position::BeforePath]).await;
    let passes = |kind: &str, entry: &Value| {
        catch_unwind(AssertUnwindSafe(|| contract.check_message("events", kind, entry))).is_ok()
    };
    assert!(passes("omni.answer", &entry));
    assert!(!passes("omni.failed", &entry) && !passes("omni.other", &entry));
    let changes: [(&str, Value); 6] = [
        ("/more", json!(1)),
        ("/data/more", json!(1)),
        ("/data/message", json!(1)),
        ("/data/promptId", json!("x")),
        ("/time", json!("yesterday")),
        ("/id", json!("x")),
    ];
    for (pointer, value) in changes {
        let mut other = entry.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        other.pointer_mut(parent).unwrap()[name] = value;
        assert!(!passes("omni.answer", &other), "{pointer}");
    }
    relay.stop().await;
}

#[cfg(feature = "docs")]
#[tokio::test]
async fn the_page_comes_from_the_relay_alone() {
    let relay = Relay::start().await;
    let page = relay.get("/docs").send().await.unwrap();
    assert!(page.url().path().ends_with("/docs/"), "what belongs to it is named relative to it");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains('*'), "no other host: {policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let page = page.text().await.unwrap();
    let named: Vec<&str> = page
        .split([' ', '>'])
        .filter_map(|text| text.split_once("src=\"").or(text.split_once("href=\"")))
        .map(|(_, name)| name.trim_matches('"'))
        .collect();
    assert!(named.len() >= 5 && page.contains("swagger-ui"), "{page}");
    for name in named {
        let file = relay.get(&format!("/docs/{}", name.trim_start_matches("./"))).send().await.unwrap();
        assert_eq!(file.status(), 200, "{name}");
        let kind = match name.rsplit('.').next() {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            _ => "image/png",
        };
        assert_eq!(file.headers()["content-type"], kind, "{name}");
    }
    let initializer = relay.get("/docs/swagger-initializer.js").send().await.unwrap().text().await.unwrap();
    assert!(initializer.contains("\"../openapi.json\"") && initializer.contains("\"none\""), "{initializer}");
    super::problem(relay.get("/docs/elsewhere.js").send().await.unwrap(), 404).await;
    relay.stop().await;
}
