//! The store, for commands that work straight on Redis with the configuration of serve.

use std::env;

use anyhow::Context;
use secrecy::ExposeSecret;

use crate::config::Config;
use crate::store::backlog::Limit;
use crate::store::connection::Redis;
use crate::store::{Policy, Store};

/// A store. What it queues waits for a turn, however short the queue is: how short it may be is for serve to say. It accepts
/// nothing new.
pub(super) fn store(config: &Config) -> anyhow::Result<Store> {
    let redis = Redis::new(config.redis.url.expose_secret()).context("failed to use redis.url")?;
    let policy = Policy {
        retention: config.retention,
        answers_age: config.answers.max_age,
        answers_len: config.answers.max_len,
        window: 0,
        backlog: Limit { prompts: 0, bytes: 0, tenant_share: 0 },
    };
    Ok(Store::new(redis, &config.namespace, policy))
}

/// Who types, for the audit.
pub(super) fn who() -> String {
    let user = env::var_os("USER").or_else(|| env::var_os("LOGNAME"));
    match user.as_ref().and_then(|user| user.to_str()).filter(|user| !user.is_empty()) {
        Some(user) => format!("cli:{user}"),
        None => "cli".to_owned(),
    }
}
