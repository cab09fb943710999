//! Omni's results, two kilobytes each, at once.

use axum::Router;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Answers while it is held.
pub(crate) struct Stub {
    pub(crate) url: String,
    _server: JoinSet<()>,
}

impl Stub {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let body: &'static str = json!({
            "message": "Sales rose by 4 % in May.", "topic": "orders",
            "actions": [{"type": "generate_query", "result": {"status": "success", "csvResult": "x".repeat(1800)}}],
        })
        .to_string()
        .leak();
        let router = Router::new().route("/api/v1/ai/jobs/{id}/result", get(move || async move { body }));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
        let mut server = JoinSet::new();
        server.spawn(async { drop(axum::serve(listener, router).await) });
        Ok(Self { url, _server: server })
    }
}
