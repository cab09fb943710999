//! What outlives every generation.

use std::sync::Arc;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use uuid::Uuid;

use super::derived::backlog;
use super::parts::Parts;
use crate::config::{Config, Role};
use crate::http::{Attempts, Feeds, Rights, Series, Served};
use crate::runtime::Stop;
use crate::store::connection::Redis;
use crate::store::wake::Wake;
use crate::store::{Policy, Store};

/// Prompts that may stand unread before others wait for their turn: whoever is free reads the first one at once, and while
/// nobody is, turns count.
const UNREAD: usize = 1;

/// What outlives every generation: what answers that last hold on to, and what the process has learnt.
pub(super) struct Lasting {
    pub(super) redis: Redis,
    pub(super) wake: Wake,
    pub(super) feeds: Arc<Feeds>,
    /// Guesses count on.
    pub(super) attempts: Arc<Attempts>,
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

pub(super) fn store(config: &Config, redis: Redis) -> Store {
    let policy = Policy {
        retention: config.retention,
        answers_age: config.answers.max_age,
        answers_len: config.answers.max_len,
        window: UNREAD,
        backlog: backlog(config),
    };
    Store::new(redis.with_replicas(config.durability.replicas), &config.namespace, policy)
}
