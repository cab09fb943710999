//! What a world is made of.

use std::net::TcpListener;

use omni_relay::config::Sources;

pub(crate) const MODEL: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const SECRET: &str = "whsec-of-the-tests";

/// How a world differs from the usual one.
pub(crate) struct Setting {
    /// A Redis of its own.
    pub(crate) redis: Option<String>,
    /// A namespace that is known already.
    pub(crate) namespace: Option<String>,
    /// Omni's budget; 0: none.
    pub(crate) requests_per_minute: u32,
    /// Changes the configuration.
    pub(crate) adjust: Box<dyn Fn(Sources) -> Sources + Send + Sync>,
}

impl Default for Setting {
    fn default() -> Self {
        Self { redis: None, namespace: None, requests_per_minute: 0, adjust: Box::new(|sources| sources) }
    }
}

impl Setting {
    pub(crate) fn config(adjust: impl Fn(Sources) -> Sources + Send + Sync + 'static) -> Self {
        Self { adjust: Box::new(adjust), ..Self::default() }
    }

    pub(crate) fn on(redis: String) -> Self {
        Self { redis: Some(redis), ..Self::default() }
    }
}

/// A relay's configuration for tests: short times, webhooks to its own port.
pub(crate) fn sources(redis: &str, namespace: &str, port: u16, omni: &str) -> Sources {
    Sources::default()
        .with("redis.url", redis)
        .with("namespace", namespace)
        .with("http.listen", format!("127.0.0.1:{port}"))
        .with("http.admin_listen", format!("127.0.0.1:{port}"))
        .with("omni.base_url", omni)
        .with("omni.api_keys", "omni_osk_test")
        .with("omni.model_id", MODEL)
        .with("webhook.public_url", format!("http://127.0.0.1:{port}/webhooks/omni"))
        .with("webhook.secrets", SECRET)
        .with("retry.base", "20ms")
        .with("retry.cap", "200ms")
        .with("retry.attempts", "4")
        .with("pipeline.claim_after", "1500ms")
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
