//! What a story happens on: a Redis of its own that writes everything to disk, the simulator, one or two replicas.

use std::path::{Path, PathBuf};
use std::time::Duration;

use omni_relay::simulator::{Options, Simulator, User};
use tokio::sync::Mutex;

use super::relay::Relay;
use super::script::{Script, TENANTS};
use crate::redis::TestRedis;
use crate::redis::private::PrivateRedis;
use crate::world::sources;

/// How much faster the times pass that no configuration changes.
const HASTE: &str = "80";
/// How long a job may run; with the waits below, what a story takes at most.
pub(super) const DEADLINE: Duration = Duration::from_millis(1_500);
pub(super) const KEYS: [&str; 2] = ["omni_osk_story-one", "omni_osk_story-two"];

pub(super) struct Bed {
    pub(super) sim: Simulator,
    pub(super) redis: Mutex<PrivateRedis>,
    pub(super) redis_url: String,
    pub(super) namespace: String,
    pub(super) relays: Vec<Mutex<Relay>>,
    /// Where the replicas answer.
    pub(super) urls: Vec<String>,
    pub(super) folder: PathBuf,
}

impl Bed {
    pub(super) async fn new(script: &Script, folder: &Path) -> Self {
        let redis = TestRedis::private().await;
        let sim = Simulator::start(Options {
            requests_per_minute: 0,
            duration: Duration::from_millis(50)..=Duration::from_millis(500),
            seed: script.seed,
            users: vec![User::new("dana", "Dana"), User::new("emea-anna", "Anna")],
            webhook_tries: 4,
            webhook_backoff: Duration::from_millis(100),
            ..Options::default()
        });
        let sim = sim.await.expect("the simulator listens");
        let (redis_url, namespace) = (redis.url(), "story".to_owned());
        let ports: Vec<u16> = (0..script.replicas).map(|_| Relay::free_port()).collect();
        let mut relays = Vec::new();
        for (index, port) in ports.iter().enumerate() {
            let environment = environment(script, &redis_url, &namespace, *port, &sim.url());
            let mut relay = Relay::new(*port, environment, &folder.join(format!("relay-{index}.log")));
            relay.start().await.expect("a replica starts");
            relays.push(Mutex::new(relay));
        }
        let urls = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        Self { sim, redis: Mutex::new(redis), redis_url, namespace, relays, urls, folder: folder.to_owned() }
    }

    /// A key of the namespace's control plane.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.namespace)
    }
}

/// The bearer key of a tenant's caller; the one without a tenant is the operator.
pub(super) fn bearer(tenant: &str) -> String {
    format!("caller-key-of-{}", name(tenant))
}

fn name(tenant: &str) -> &str {
    if tenant.is_empty() { "desk" } else { tenant }
}

fn environment(script: &Script, redis: &str, namespace: &str, port: u16, omni: &str) -> Vec<(String, String)> {
    let mut sources = sources(redis, namespace, port, omni)
        .with("omni.api_keys", KEYS[..script.keys].join(","))
        .with("omni.requests_per_minute", "100000")
        .with("reconcile.after", "700ms")
        .with("jobs.deadline", format!("{}ms", DEADLINE.as_millis()))
        .with("jobs.max_wait", format!("{}ms", script.max_wait.as_millis()))
        .with("pipeline.claim_after", "800ms")
        .with("runtime.workers", "1")
        .with("log.level", "info,omni_relay=debug");
    if !script.webhooks {
        sources = sources.with("webhook.public_url", "");
    }
    for tenant in TENANTS {
        let path = |leaf: &str| format!("callers.{}.{leaf}", name(tenant));
        sources = sources.with(&path("key"), bearer(tenant)).with(&path("scopes"), "prompts,read,ops");
        if !tenant.is_empty() {
            sources = sources.with(&path("tenant"), tenant);
        }
    }
    let mut environment: Vec<(String, String)> = sources.env.into_iter().collect();
    environment.push(("OMNI_RELAY_HASTE".to_owned(), HASTE.to_owned()));
    environment
}
