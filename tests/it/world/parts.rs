//! What a world is made of.

use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::time::Duration;

use omni_relay::config::Sources;
use omni_relay::pipeline::reconcile::Tuning;

pub(crate) const MODEL: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const SECRET: &str = "whsec-of-the-tests";

/// Every role.
pub(crate) const ALL: &str = "receive,submit,process,api";

/// How a world differs from the usual one.
pub(crate) struct Setting {
    /// A Redis of its own.
    pub(crate) redis: Option<String>,
    /// A namespace that is known already.
    pub(crate) namespace: Option<String>,
    /// Omni's budget; 0: none.
    pub(crate) requests_per_minute: u32,
    /// When quiet prompts are looked at.
    pub(crate) tuning: Tuning,
    /// How long Omni's jobs run.
    pub(crate) jobs: RangeInclusive<Duration>,
    /// How long a request to Omni is on its way.
    pub(crate) latency: RangeInclusive<Duration>,
    /// Whether Omni lists all its users, whatever is asked for.
    pub(crate) ignore_scim_filter: bool,
    /// Keys that the simulator accepts; none: all.
    pub(crate) api_keys: Vec<String>,
    /// What the relay and the simulator take for a minute of the budget, and the relay's margin on it.
    pub(crate) minute: (Duration, Duration),
    /// The roles of each process that the relay is made of; one has `api`, and one `receive`.
    pub(crate) processes: &'static [&'static str],
    /// Changes the configuration; of each process, by its roles.
    pub(crate) adjust: Box<dyn Fn(Sources) -> Sources + Send + Sync>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            redis: None,
            namespace: None,
            requests_per_minute: 0,
            jobs: Duration::from_millis(20)..=Duration::from_millis(60),
            latency: Duration::ZERO..=Duration::ZERO,
            ignore_scim_filter: false,
            api_keys: Vec::new(),
            tuning: Tuning::default(),
            minute: (Duration::from_mins(1), Duration::from_secs(1)),
            processes: &[ALL],
            adjust: Box::new(|sources| sources),
        }
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
        .with("omni.requests_per_minute", "100000")
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
