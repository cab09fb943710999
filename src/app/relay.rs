//! The relay: services and stages, each built once.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::beside::pauses;
use super::derived::{backlog, pace, verifier};
use super::listen::listen;
use super::reach::{BUDGET_WINDOW, Reach, reach};
use super::stages::stages;
use crate::config::{Config, Origin};
use crate::http::{Console, Feeds, Series, Services, Tokens};
use crate::model::prompt::Defaults;
use crate::omni::McpClient;
use crate::pipeline::reconcile::Tuning;
use crate::pipeline::{
    Canceller, Charts, DeadLetters, Gateway, Intake, Rater, Receiver, Runs, Switch, due, runs, switch,
};
use crate::runtime::{Clock, Lifecycle, Metrics, Readiness, hasten};
use crate::store::connection::Redis;
use crate::store::delivery::Stream;
use crate::store::wake::Wake;
use crate::store::{Policy, Store, health};

/// Prompts that may stand unread before others wait for their turn: whoever is free reads the first one at once, and while
/// nobody is, turns count.
const UNREAD: usize = 1;
/// Longest time until an answer for an agent begins.
const MCP_PATIENCE: Duration = Duration::from_mins(2);

/// What a process brings along.
pub struct Parts {
    /// Time.
    pub clock: Clock,
    /// Owns every task.
    pub lifecycle: Lifecycle,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// The short waits for a result that is not there yet: how many, how long.
    pub patience: (u32, Duration),
    /// When quiet prompts are looked at.
    pub tuning: Tuning,
    /// In which Omni grants its requests.
    pub budget_window: Duration,
    /// The settings in force, as [`Loaded::show`](crate::config::Loaded::show) has them.
    pub settings: Vec<(String, String, Origin)>,
}

impl Parts {
    /// As `serve` runs.
    pub fn new(lifecycle: Lifecycle, metrics: Metrics) -> Self {
        let patience = (8, hasten(Duration::from_secs(1)));
        let (tuning, budget_window) = (Tuning::default(), hasten(BUDGET_WINDOW));
        Self { clock: Clock::system(), lifecycle, metrics, patience, tuning, budget_window, settings: Vec::new() }
    }
}

/// A running relay. Its tasks belong to the lifecycle it was given.
pub struct App {
    /// Where `/v1`, webhooks and probes answer.
    pub address: SocketAddr,
    /// Where `/metrics` answers.
    pub admin_address: Option<SocketAddr>,
    /// The store, for those who look inside.
    pub store: Store,
}

impl App {
    /// Binds, then starts every stage. Redis need not be there yet: until it is, the relay is not ready.
    pub async fn start(config: &Config, parts: Parts) -> anyhow::Result<Self> {
        let redis = Redis::new(config.redis.url.expose_secret()).context("failed to use redis.url")?;
        let redis = redis.with_replicas(config.durability.replicas);
        let policy = Policy {
            retention: config.retention,
            answers_age: config.answers.max_age,
            answers_len: config.answers.max_len,
            window: UNREAD,
            backlog: backlog(config),
        };
        let store = Store::new(redis, &config.namespace, policy);
        let pace = pace(config, parts.tuning);
        let readiness = Readiness::new();
        let wake = Wake::default();
        let intake = Intake::new(
            store.clone(),
            parts.clock.clone(),
            Defaults {
                model_id: config.omni.model_id,
                run_as_key_owner: config.omni.run_as_key_owner,
                ..Defaults::default()
            },
            config.omni.adopt_conversations,
            pace.first_check(),
        );
        let redis = readiness.register("redis");
        let reach = reach(config, &store, parts.budget_window, config.users.create, readiness.register("omni"))?;
        let dead_letters = DeadLetters::new(store.clone(), parts.clock.clone(), config.reconcile.after);
        let many = Runs::new(store.clone(), dead_letters.clone(), parts.clock.clone());
        let charts = Charts::new(store.clone(), reach.omni.clone(), reach.keys.clone());
        let switch = Switch::default();
        let services = Services {
            store: store.clone(),
            intake: intake.clone(),
            receiver: Receiver::new(store.clone(), parts.clock.clone()),
            canceller: Canceller::new(store.clone(), parts.clock.clone(), config.reconcile.after),
            charts: config.results.charts.then_some(charts),
            rater: Rater::new(reach.omni.clone(), reach.keys.clone()),
            dead_letters,
            runs: many.clone(),
            switch: switch.clone(),
            pauses: pauses(config, &store, &parts.clock),
            explainer: reach.explainer(&store, pace, &parts.clock),
            doctor: reach.doctor(config, &store, &parts.clock),
            keys: reach.keys.clone(),
            gateway: gateway(config, &store, &reach)?,
            wake: wake.clone(),
            feeds: Arc::new(Feeds::new(store.clone(), wake.clone(), parts.lifecycle.clone())),
            callers: Arc::new(config.callers.clone()),
            tokens: Tokens::new(&config.tokens.secrets, &config.namespace, parts.clock.clone()).map(Arc::new),
            console: console(config, &parts, &store),
            cors_origins: config.http.cors_origins.clone().into(),
            attempts: Arc::default(),
            verifier: verifier(config, &parts.clock),
            readiness: readiness.clone(),
            metrics: parts.metrics.clone(),
            clock: parts.clock.clone(),
            stop: parts.lifecycle.stop_handle(),
        };
        let (address, admin_address) = listen(config, services, &parts.lifecycle).await?;
        let stop = parts.lifecycle.stop_handle();
        parts.lifecycle.spawn("health", health::run(store.clone(), parts.clock.clone(), redis, wake, stop.clone()));
        parts.lifecycle.spawn("due", due::run(store.clone(), parts.clock.clone(), stop));
        parts.lifecycle.spawn("runs", runs::run(many, parts.lifecycle.clone()));
        let operator = readiness.register("operator");
        parts
            .lifecycle
            .spawn("pauses", switch::run(store.clone(), switch.clone(), operator, parts.lifecycle.stop_handle()));
        let gate = |stream: Stream| switch.gate(stream, readiness.register(stream.stage()));
        let gates = [Stream::Intake, Stream::Prompts, Stream::Inbox].map(gate);
        stages(config, &parts, &store, pace, intake, reach, gates);
        Ok(Self { address, admin_address, store })
    }
}

fn gateway(config: &Config, store: &Store, reach: &Reach) -> anyhow::Result<Gateway> {
    let client = McpClient::new(&config.omni.base_url, hasten(MCP_PATIENCE)).context("failed to use omni.base_url")?;
    Ok(Gateway::new(store.clone(), client, reach.keys.clone(), reach.directory.clone()))
}

/// Where nobody is asked for a key, only whoever is on this machine may look.
fn console(config: &Config, parts: &Parts, store: &Store) -> Option<Arc<Console>> {
    let address = config.http.admin_listen?;
    if config.callers.is_empty() && !address.ip().is_loopback() {
        return None;
    }
    let tokens = |secrets: &[SecretString]| Tokens::new(secrets, &config.namespace, parts.clock.clone());
    // Sessions then end with the process, and are good here alone.
    let own = || tokens(&[format!("{}{}", Uuid::new_v4(), Uuid::new_v4()).into()]);
    let tokens = tokens(&config.tokens.secrets).or_else(own)?;
    let console = Arc::new(Console { tokens, settings: parts.settings.clone(), series: Series::default() });
    let (looking, store, stop) = (console.clone(), store.clone(), parts.lifecycle.stop_handle());
    parts.lifecycle.spawn("console", async move {
        looking.series.run(store, stop).await;
        Ok::<(), Infallible>(())
    });
    Some(console)
}
