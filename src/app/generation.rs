//! What the roles serve and work on by one configuration, each built once. A reload builds others beside it.

use std::sync::Arc;

use super::derived::{intake, pace, verifier};
use super::lasting::{Lasting, store};
use super::parts::Parts;
use super::reach::reach;
use super::services::services;
use super::stages::stages;
use crate::config::{Config, Role};
use crate::http::{Own, Served, Webhooks};
use crate::pipeline::{KeyRing, Receiver, Switch, runs};
use crate::runtime::{Lifecycle, Readiness};
use crate::store::{Store, health};

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
