//! What the roles serve and work on by one configuration, each built once. A reload builds others beside it.

use std::sync::Arc;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use uuid::Uuid;

use super::derived::{backlog, intake, pace, verifier};
use super::reach::reach;
use super::relay::Parts;
use super::services::services;
use super::stages::stages;
use crate::config::{Config, Role};
use crate::http::{Attempts, Feeds, Own, Rights, Series, Served, Webhooks};
use crate::pipeline::{KeyRing, Receiver, Switch, runs};
use crate::runtime::{Lifecycle, Readiness, Stop};
use crate::store::connection::Redis;
use crate::store::wake::Wake;
use crate::store::{Policy, Store, health};

/// Prompts that may stand unread before others wait for their turn: whoever is free reads the first one at once, and while
/// nobody is, turns count.
const UNREAD: usize = 1;

/// What outlives every generation: what answers that last hold on to, and what the process has learnt.
pub(super) struct Lasting {
    redis: Redis,
    pub(super) wake: Wake,
    pub(super) feeds: Arc<Feeds>,
    /// Guesses count on.
    attempts: Arc<Attempts>,
    pub(super) series: Arc<Series>,
    pub(super) rights: Arc<watch::Sender<Rights>>,
    /// Signs the console's sessions where no secret is configured: they end with the process, and are good here alone.
    pub(super) sessions: [SecretString; 1],
    /// The process' own: no generation's end cuts an answer off.
    pub(super) stop: Stop,
}

impl Lasting {
    pub(super) fn new(config: &Config, parts: &Parts) -> anyhow::Result<Self> {
        let redis = Redis::new(config.redis.url.expose_secret()).context("failed to use redis.url")?;
        let (store, wake, stop) = (store(config, redis.clone()), Wake::default(), parts.lifecycle.stop_handle());
        let feeds = Feeds::new(store.clone(), wake.clone(), parts.lifecycle.clone());
        if config.roles.contains(&Role::Api) {
            parts.lifecycle.spawn("wake", wake.clone().run(store, stop.clone()));
        }
        Ok(Self {
            redis,
            wake,
            feeds: Arc::new(feeds),
            attempts: Arc::default(),
            series: Arc::default(),
            rights: Arc::default(),
            sessions: [format!("{}{}", Uuid::new_v4(), Uuid::new_v4()).into()],
            stop,
        })
    }

    /// Tells answers that last who has a right to them from now on.
    pub(super) fn grant(&self, served: &Served) {
        if let Some(services) = &served.services {
            self.rights.send_replace(Rights::from(services));
            self.feeds.nudge();
        }
    }
}

/// A generation at work.
pub(super) struct Generation {
    pub(super) config: Config,
    /// Its own tasks.
    pub(super) lifecycle: Lifecycle,
    pub(super) own: Arc<Own>,
    pub(super) keys: Option<Arc<KeyRing>>,
    pub(super) store: Store,
}

impl Generation {
    /// Builds all of it and sets it to work, in place of the one before. What fails leaves nothing at work.
    pub(super) fn start(
        config: Config,
        parts: &Parts,
        lasting: &Lasting,
        before: Option<&Self>,
    ) -> anyhow::Result<(Self, Served)> {
        let lifecycle = parts.lifecycle.child();
        let started = Self::build(config, Parts { lifecycle: lifecycle.clone(), ..parts.clone() }, lasting, before);
        if started.is_err() {
            lifecycle.request_stop();
        }
        started
    }

    fn build(config: Config, parts: Parts, lasting: &Lasting, before: Option<&Self>) -> anyhow::Result<(Self, Served)> {
        let store = store(&config, lasting.redis.clone());
        let pace = pace(&config, parts.tuning);
        let readiness = before.map_or_else(Readiness::new, |before| before.own.readiness.next());
        let redis = readiness.register("redis");
        let omni = match &config.omni {
            Some(omni) => {
                let handle = readiness.register("omni");
                let reach = reach(&config, omni, &store, parts.budget_window, config.users.create, handle)?;
                Some((reach, intake(omni, &store, &parts.clock, pace)))
            }
            None => None,
        };
        let operator = readiness.register("operator");
        let own = Arc::new(Own {
            callers: config.callers.clone(),
            attempts: lasting.attempts.clone(),
            cors_origins: config.http.cors_origins.clone(),
            switch: match before {
                Some(before) => before.own.switch.telling(operator.clone()),
                None => Switch::new(operator.clone()),
            },
            readiness,
            metrics: parts.metrics.clone(),
        });
        let webhooks = config.roles.contains(&Role::Receive).then(|| Webhooks {
            receiver: Arc::new(Receiver::new(store.clone(), parts.clock.clone())),
            verifier: verifier(&config, &parts.clock),
        });
        let services = match &omni {
            Some((reach, intake)) if config.roles.contains(&Role::Api) => {
                Some(services(&config, &parts, lasting, &store, reach, intake.clone(), own.clone())?)
            }
            _ => None,
        };
        let keys = omni.as_ref().map(|(reach, _)| reach.keys.clone());
        parts.lifecycle.spawn("health", health::run(store.clone(), redis, parts.lifecycle.stop_handle()));
        if let Some(services) = &services {
            parts.lifecycle.spawn("runs", runs::run(services.runs.clone(), parts.lifecycle.clone()));
        }
        match omni {
            Some((reach, intake)) => stages(&config, &parts, &store, pace, reach, intake, &own),
            // Nothing can be paused here.
            None => operator.ready(),
        }
        let served = Served { own: own.clone(), webhooks, services };
        Ok((Self { config, lifecycle: parts.lifecycle, own, keys, store }, served))
    }
}

fn store(config: &Config, redis: Redis) -> Store {
    let policy = Policy {
        retention: config.retention,
        answers_age: config.answers.max_age,
        answers_len: config.answers.max_len,
        window: UNREAD,
        backlog: backlog(config),
    };
    Store::new(redis.with_replicas(config.durability.replicas), &config.namespace, policy)
}
