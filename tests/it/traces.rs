//! One trace for each prompt, as a collector gets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use omni_relay::simulator::Behaviour;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;

use crate::world::{Asked, Process, World, eventually, text};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector that keeps what it is sent, as it came.
#[derive(Clone, Default)]
struct Collector {
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    async fn start(&self) -> String {
        async fn take(State(collector): State<Collector>, body: Bytes) {
            collector.bodies.lock().unwrap().push(body);
        }
        serve(Router::new().route("/v1/traces", post(take)).with_state(self.clone())).await
    }

    /// The spans of the trace, the first one first.
    fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().unwrap();
        let sent = bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        let scopes = sent.flat_map(|sent| sent.resource_spans).flat_map(|resource| resource.scope_spans);
        let mut spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
        assert!(spans.iter().all(|span| hex::encode(&span.trace_id) == TRACE), "another trace: {spans:#?}");
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

/// Passes requests on to Omni, and keeps the trace context that each has.
#[derive(Clone)]
struct Proxy {
    omni: String,
    http: reqwest::Client,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let trace = head.headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned());
    proxy.seen.lock().unwrap().push((head.method.to_string(), trace.unwrap_or_default()));
    let mut headers = head.headers;
    headers.remove("host");
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let url = format!("{}{}", proxy.omni, head.uri);
    let answer = proxy.http.request(head.method, url).headers(headers).body(body).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, answer.bytes().await.unwrap()).into_response()
}

#[expect(clippy::disallowed_methods, reason = "it answers for as long as the test runs")]
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_one_trace_from_its_intake_to_its_readers() {
    let mut world = World::new().await;
    let _ = world.stop().await;
    let collector = Collector::default();
    let endpoint = collector.start().await;
    let proxy = Proxy { omni: world.sim.url(), http: reqwest::Client::new(), seen: Arc::default() };
    let omni = serve(Router::new().fallback(pass).with_state(proxy.clone())).await;
    let settings = [
        ("OMNI_RELAY__TELEMETRY__OTLP_ENDPOINT", endpoint.as_str()),
        ("OMNI_RELAY__OMNI__BASE_URL", &omni),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let process = Process::start(&world, &settings).await;

    world.sim.next_job(Behaviour::new().held());
    let user = json!({"externalId": "emea-anna", "name": "Anna Geheim"});
    let body = json!({"prompt": "revenue where ACME pays", "user": user, "conversation": "thread", "metadata": {"note": "geheim"}});
    let ask = world.http.post(format!("{}/v1/prompts", world.url)).json(&body);
    let ask = ask.header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    let object: serde_json::Value = ask.send().await.unwrap().json().await.unwrap();
    // Its readers are there before its answer is.
    let asked = Asked { id: text(&object, "promptId"), conversation: text(&object, "conversation") };
    world.eventually_in(&asked, "submitted").await;
    let reader = world.get("/v1/conversations/thread/events").await;
    assert_eq!(reader.status(), 200);
    world.sim.release(world.record(&asked.id).await["jobId"].parse().unwrap());
    world.eventually_answered(&asked).await;

    let expected = [
        "intake < the caller",
        "submit < intake",
        "users < submit",
        "create < submit",
        "receive < intake",
        "process < intake",
        "result < process",
        "publish < process",
        "deliver < publish",
    ];
    let spans = eventually("every span is exported", async || {
        let spans = collector.spans();
        (spans.len() >= expected.len()).then_some(spans)
    })
    .await;
    drop((reader, process));
    let names: HashMap<String, String> =
        spans.iter().map(|span| (hex::encode(&span.span_id), span.name.clone())).collect();
    let parent = |span: &Span| match hex::encode(&span.parent_span_id) {
        id if id == CALLER => "the caller".to_owned(),
        id => names.get(&id).cloned().unwrap_or(id),
    };
    let told: Vec<String> = spans.iter().map(|span| format!("{} < {}", span.name, parent(span))).collect();
    assert_eq!(told, expected);

    // What Omni is told, as a header, is the span of the request.
    let seen = proxy.seen.lock().unwrap().clone();
    let requests = ["users", "create", "result"].map(|name| spans.iter().find(|span| span.name == name).unwrap());
    let asked: Vec<String> =
        requests.iter().map(|span| format!("00-{TRACE}-{}-01", hex::encode(&span.span_id))).collect();
    assert_eq!(seen.into_iter().map(|(_, trace)| trace).collect::<Vec<_>>(), asked);

    // What consumers read says which span published it.
    let entry = world.answers().await.pop().expect("an answer");
    let publish = spans.iter().find(|span| span.name == "publish").unwrap();
    assert_eq!(entry["traceparent"], format!("00-{TRACE}-{}-01", hex::encode(&publish.span_id)));

    let sent = collector.bodies.lock().unwrap().concat();
    let sent = String::from_utf8_lossy(&sent);
    for secret in ["ACME", "eheim", "emea-anna", "thread", "omni_osk_test"] {
        assert!(!sent.contains(secret), "{secret} is in a span");
    }
}
