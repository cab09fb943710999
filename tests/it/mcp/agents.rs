//! An agent that nobody here wrote either: the official Rust SDK's client.

use std::collections::HashMap;

use omni_relay::simulator::User;
use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Value, json};

use super::Bed;
use crate::world::eventually;

async fn agent(bed: &Bed, lifecycle: ClientLifecycleMode) -> RunningService<RoleClient, ()> {
    let headers = HashMap::from([("x-relay-user".parse().unwrap(), "dana".parse().unwrap())]);
    let config = StreamableHttpClientTransportConfig::with_uri(bed.url());
    let config = config.auth_header("agents-key").custom_headers(headers);
    let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
    ().serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

fn said(result: &CallToolResult) -> Value {
    serde_json::from_str(&result.content[0].as_text().unwrap().text).unwrap()
}

/// What every agent can do, whatever the version of its protocol.
async fn works(bed: &Bed, agent: RunningService<RoleClient, ()>) {
    let tools = agent.list_all_tools().await.unwrap();
    let mut names: Vec<String> = tools.into_iter().map(|tool| tool.name.into_owned()).collect();
    names.sort();
    assert_eq!(names, ["announce", "count", "step", "whoami"]);
    let called = agent.call_tool(CallToolRequestParams::new("whoami")).await.unwrap();
    let dana = User::new("dana", "").id;
    assert_eq!(said(&called), json!({"user": dana.to_string(), "required": "true", "model": null, "topic": null}));
    agent.cancel().await.unwrap();
    let key = bed.omni.seen().iter().all(|seen| seen.headers["authorization"] == "Bearer omni_osk_test");
    assert!(key, "with the relay's key");
}

fn sessions(keys: &[String]) -> usize {
    keys.iter().filter(|key| key.contains("}:mcp:")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_in_a_session() {
    let bed = Bed::new().await;
    let agent = agent(&bed, ClientLifecycleMode::Initialize).await;
    assert_eq!(sessions(&bed.world.keys().await), 1);
    works(&bed, agent).await;
    eventually("the session is ended", async || (sessions(&bed.world.keys().await) == 0).then_some(())).await;
    assert_eq!(bed.omni.seen().last().unwrap().method, "DELETE");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_without_sessions() {
    let bed = Bed::new().await;
    let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let agent = agent(&bed, lifecycle).await;
    works(&bed, agent).await;
    let seen = bed.omni.seen();
    assert!(seen.iter().all(|seen| !seen.headers.contains_key("mcp-session-id")), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.headers["mcp-protocol-version"] == "2026-07-28"), "{seen:?}");
    assert_eq!(seen.last().unwrap().headers["mcp-name"], "whoami", "what is new in the protocol passes too");
    assert_eq!(sessions(&bed.world.keys().await), 0);
}
