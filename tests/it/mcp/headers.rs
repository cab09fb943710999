//! What passes, what stays, what is added; and for whom.

use std::collections::BTreeMap;

use omni_relay::simulator::User;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Bed, SECOND_MODEL, initialize, list};
use crate::contract::Call;
use crate::http::problem;
use crate::world::MODEL;

fn plain(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &reqwest::header::HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn omni_sees_the_protocol_and_the_user_and_nothing_of_the_caller() {
    let bed = Bed::new().await;
    bed.omni.answers(|_| axum::Json(json!({})));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut request = bed.post(&initialize());
    for (name, value) in [
        ("Cookie", "a=b"),
        ("Cookie2", "a=b"),
        ("Proxy-Authorization", "Basic x"),
        ("X-Api-Key", "key"),
        ("Accept-Encoding", "gzip"),
        ("Origin", "https://agents.example.com"),
        ("Referer", "https://agents.example.com/"),
        ("User-Agent", "agent/1"),
        ("Forwarded", "for=192.0.2.1"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Host", "example.com"),
        ("X-Relay-Other", "x"),
        ("X-MCP-User-ID", "11111111-1111-4111-8111-111111111111"),
        ("X-MCP-User-Required", "false"),
        ("X-MCP-Query-All-Views", "true"),
        ("X-MCP-Whatever", "x"),
        ("MCPX", "x"),
        ("Last-Event-ID", "7"),
        ("MCP-Protocol-Version", "2025-11-25"),
        ("Mcp-Of-Tomorrow", "new"),
        ("traceparent", traceparent),
        ("tracestate", "a=b"),
    ] {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 200);
    let seen = bed.omni.seen().pop().unwrap();
    let dana = User::new("dana", "").id.to_string();
    let host = bed.omni.url.trim_start_matches("http://");
    let length = seen.body.len().to_string();
    let expected = [
        ("accept", "application/json, text/event-stream"),
        ("authorization", "Bearer omni_osk_test"),
        ("content-length", &length),
        ("content-type", "application/json"),
        ("host", host),
        ("mcp-of-tomorrow", "new"),
        ("mcp-protocol-version", "2025-11-25"),
        ("traceparent", traceparent),
        ("tracestate", "a=b"),
        ("user-agent", concat!("omni-relay/", env!("CARGO_PKG_VERSION"))),
        ("x-mcp-user-id", &dana),
        ("x-mcp-user-required", "true"),
    ];
    let expected: BTreeMap<String, String> =
        expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(plain(&seen.headers), expected);
    assert_eq!(seen.headers.len(), expected.len(), "each once");
    assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), initialize());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_sees_the_protocol_and_nothing_of_omni() {
    let bed = Bed::new().await;
    let noise = [
        ("set-cookie", "a=b"),
        ("server", "omni"),
        ("location", "https://elsewhere.example.com"),
        ("www-authenticate", "Bearer resource_metadata=\"https://omni.example.com\""),
        ("x-omni-internal", "x"),
        ("access-control-allow-origin", "*"),
        ("content-type", "text/plain; charset=utf-8"),
        ("allow", "POST"),
        ("retry-after", "7"),
        ("mcp-of-tomorrow", "new"),
    ];
    for status in [200, 202, 204, 400, 402, 403, 404, 405, 406, 408, 409, 413, 415, 422] {
        let status = StatusCode::from_u16(status).unwrap();
        let body = if status == 204 { "" } else { "as omni says" };
        bed.omni.answers(move |_| (status, noise, body));
        let answer = bed.post(&initialize()).send().await.unwrap();
        assert_eq!(answer.status(), status);
        let mut headers = plain(answer.headers());
        let cors = ["vary", "access-control-expose-headers"];
        for own in ["date", "x-request-id", "transfer-encoding", "content-length"].into_iter().chain(cors) {
            headers.remove(own);
        }
        let expected = [
            ("allow", "POST"),
            ("cache-control", "no-store"),
            ("content-type", "text/plain; charset=utf-8"),
            ("mcp-of-tomorrow", "new"),
            ("retry-after", "7"),
            ("x-accel-buffering", "no"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers, BTreeMap::from(expected), "{status}");
        assert_eq!(answer.text().await.unwrap(), body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_lists_is_kept_to_them() {
    let bed = Bed::new().await;
    bed.omni.answers(|_| axum::Json(json!({})));
    let before = || bed.bare(Method::POST).bearer_auth("bound-key").header("X-Relay-User", "dana").json(&list());
    let with = |request: Call, model: Option<&str>, topic: Option<&str>| {
        let request = model.into_iter().fold(request, |request, model| request.header("X-MCP-Model-ID", model));
        topic.into_iter().fold(request, |request, topic| request.header("X-MCP-Topic-Name", topic))
    };
    let free = || bed.post(&list());
    let sent = |number: usize| {
        let headers = plain(&bed.omni.seen()[number].headers);
        (headers.get("x-mcp-model-id").cloned(), headers.get("x-mcp-topic-name").cloned())
    };
    let upper = SECOND_MODEL.to_uppercase();
    for (number, (request, model, topic)) in [
        (before(), Some(MODEL), Some("orders")),
        (with(before(), Some(&upper), Some("order items")), Some(SECOND_MODEL), Some("order items")),
        (free(), None, None),
        (with(free(), Some(SECOND_MODEL), Some("Größen")), Some(SECOND_MODEL), Some("Größen")),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(request.send().await.unwrap().status(), 200);
        assert_eq!(sent(number), (model.map(str::to_owned), topic.map(str::to_owned)));
    }
    let arrived = bed.arrived();
    let other = "99999999-1111-4111-8111-111111111111";
    for (model, topic, what) in
        [(Some(other), None, "model"), (None, Some("staff"), "topic"), (None, Some("Orders"), "topic")]
    {
        let refused = problem(with(before(), model, topic).send().await.unwrap(), 403).await;
        assert_eq!(refused["code"], "not_allowed");
        assert!(refused["detail"].as_str().unwrap().contains(what), "{refused}");
    }
    for request in [
        with(before(), Some("orders"), None),
        with(before().header("X-MCP-Model-ID", MODEL), Some(other), None),
        with(before().header("X-MCP-Topic-Name", "orders"), None, Some("staff")),
        with(free(), None, Some("")),
    ] {
        let refused = problem(request.send().await.unwrap(), 422).await;
        assert_eq!(refused["code"], "invalid_parameter");
    }
    assert_eq!(bed.arrived(), arrived, "none of it was passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_acted_for_who_is_not_named_and_known() {
    let bed = Bed::new().await;
    let named =
        |user: &[u8]| bed.bare(Method::POST).bearer_auth("agents-key").json(&list()).header("X-Relay-User", user);
    let unnamed = bed.bare(Method::POST).bearer_auth("agents-key").json(&list());
    let twice = named(b"dana").header("X-Relay-User", "emea-anna");
    for request in [unnamed, named(b""), named(&[b'x'; 513]), named(b"gr\xfc\xdfe"), twice] {
        let refused = problem(request.send().await.unwrap(), 422).await;
        assert_eq!(refused["code"], "invalid_parameter");
        assert_eq!(refused["errors"][0]["pointer"], "/X-Relay-User");
    }
    let mut inactive = User::new("inge", "Inge");
    inactive.active = false;
    bed.world.sim.add_user(inactive);
    let mut double = User::new("double", "One");
    bed.world.sim.add_user(double.clone());
    double.id = uuid::Uuid::from_u128(7);
    bed.world.sim.add_user(double);
    for (user, code) in [
        ("nobody", "user_not_found"),
        ("Dana", "user_not_found"),
        ("inge", "user_inactive"),
        ("double", "user_ambiguous"),
    ] {
        let refused = problem(named(user.as_bytes()).send().await.unwrap(), 403).await;
        assert_eq!(refused["code"], code, "{user}");
    }
    assert_eq!(bed.arrived(), 0);
    assert_eq!(bed.world.sim.count("POST", "/generate-session"), 0, "nobody is made");

    bed.world.sim.add_user(User::new("Größe", "Größe"));
    bed.omni.answers(|_| axum::Json(json!({})));
    assert_eq!(named("Größe".as_bytes()).send().await.unwrap().status(), 200);
    assert_eq!(bed.omni.seen()[0].headers["x-mcp-user-id"], User::new("Größe", "").id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_was_made_anew_is_found_again() {
    let bed = Bed::new().await;
    bed.omni.answers(|_| axum::Json(json!({})));
    assert_eq!(bed.post(&list()).send().await.unwrap().status(), 200);
    let mut again = User::new("dana", "Dana");
    again.id = uuid::Uuid::from_u128(9);
    bed.world.sim.remove_user("dana");
    bed.world.sim.add_user(again.clone());
    bed.omni.answers(|_| StatusCode::FORBIDDEN);
    assert_eq!(bed.post(&list()).send().await.unwrap().status(), 403);
    bed.omni.answers(|_| axum::Json(json!({})));
    assert_eq!(bed.post(&list()).send().await.unwrap().status(), 200);
    assert_eq!(bed.omni.seen()[2].headers["x-mcp-user-id"], again.id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_has_a_lock() {
    let bed = Bed::new().await;
    let answer = bed.bare(Method::POST).header("X-Relay-User", "dana").json(&list()).send().await.unwrap();
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(problem(answer, 401).await["code"], "unauthorized");
    let answer = bed.bare(Method::POST).bearer_auth("chat-key").header("X-Relay-User", "dana").json(&list());
    assert_eq!(problem(answer.send().await.unwrap(), 403).await["code"], "missing_scope");
    for method in [Method::PUT, Method::PATCH] {
        let answer = bed.request(method.clone()).send().await.unwrap();
        assert_eq!(answer.headers()["allow"], "GET,POST,DELETE", "{method}");
        assert_eq!(problem(answer, 405).await["code"], "method_not_allowed");
    }
    assert_eq!(bed.request(Method::HEAD).send().await.unwrap().status(), 405);
    assert_eq!(bed.arrived(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_a_size() {
    const LARGEST: usize = 4 * 1024 * 1024;
    let bed = Bed::new().await;
    bed.omni.answers(|_| axum::Json(json!({})));
    let largest = bed.request(Method::POST).body(vec![b' '; LARGEST]).send().await.unwrap();
    assert_eq!(largest.status(), 200);
    assert_eq!(bed.omni.seen()[0].body.len(), LARGEST);
    // Only announced: whoever goes on sending may not hear the answer.
    let mut socket = TcpStream::connect(bed.world.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer agents-key\r\nX-Relay-User: dana\r\nContent-Length: {}\r\n\r\n",
        LARGEST + 1
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(bed.arrived(), 1);
}
