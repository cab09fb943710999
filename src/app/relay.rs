//! The relay: what its roles serve and work on, each built once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;

use super::derived::{backlog, intake, pace, verifier};
use super::listen::listen;
use super::reach::{BUDGET_WINDOW, reach};
use super::services::services;
use super::stages::stages;
use crate::config::{Config, Origin, Role};
use crate::http::{Attempts, Own, Served, Webhooks};
use crate::pipeline::reconcile::Tuning;
use crate::pipeline::{Receiver, Switch, runs};
use crate::runtime::{Clock, Lifecycle, Metrics, Readiness, hasten};
use crate::store::connection::Redis;
use crate::store::{Policy, Store, health};

/// Prompts that may stand unread before others wait for their turn: whoever is free reads the first one at once, and while
/// nobody is, turns count.
const UNREAD: usize = 1;

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
        let redis = readiness.register("redis");
        let omni = match &config.omni {
            Some(omni) => {
                let handle = readiness.register("omni");
                let reach = reach(config, omni, &store, parts.budget_window, config.users.create, handle)?;
                Some((reach, intake(omni, &store, &parts.clock, pace)))
            }
            None => None,
        };
        let operator = readiness.register("operator");
        if omni.is_none() {
            // Nothing can be paused here.
            operator.ready();
        }
        let own = Arc::new(Own {
            callers: config.callers.clone(),
            attempts: Attempts::default(),
            cors_origins: config.http.cors_origins.clone(),
            switch: Switch::new(operator),
            readiness,
            metrics: parts.metrics.clone(),
        });
        let webhooks = config.roles.contains(&Role::Receive).then(|| Webhooks {
            receiver: Arc::new(Receiver::new(store.clone(), parts.clock.clone())),
            verifier: verifier(config, &parts.clock),
        });
        let services = match &omni {
            Some((reach, intake)) if config.roles.contains(&Role::Api) => {
                Some(services(config, &parts, &store, pace, reach, intake.clone(), own.clone())?)
            }
            _ => None,
        };
        let served = Served { own, webhooks, services };
        let (address, admin_address) = listen(config, &served, &parts.lifecycle).await?;
        let stop = parts.lifecycle.stop_handle();
        parts.lifecycle.spawn("health", health::run(store.clone(), redis, stop.clone()));
        if let Some(services) = served.services {
            parts.lifecycle.spawn("wake", services.wake.run(store.clone(), stop));
            parts.lifecycle.spawn("runs", runs::run(services.runs, parts.lifecycle.clone()));
        }
        if let Some((reach, intake)) = omni {
            stages(config, &parts, &store, pace, reach, intake, &served.own);
        }
        Ok(Self { address, admin_address, store })
    }
}
