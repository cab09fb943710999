//! Whether the process should get traffic. Each part holds a handle and tells through it how it is.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

/// How one part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReadinessState)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ready,
    /// Works, with less than it should have. Traffic still comes.
    Degraded,
    /// Cannot work. No traffic should come.
    NotReady,
}

/// One part, as reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReadinessPart)]
pub struct Part {
    pub name: &'static str,
    pub state: State,
    /// Why it is not ready or degraded. Readable by anybody: no secrets, no internals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub reason: Option<Cow<'static, str>>,
}

/// All parts, in the order they were registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Readiness)]
pub struct Report {
    /// No part is `NotReady`.
    pub ready: bool,
    pub parts: Vec<Part>,
}

/// The readiness of the process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    parts: Arc<Mutex<Vec<Part>>>,
    /// How parts were in the one that this one replaces.
    before: Arc<[Part]>,
}

/// Speaks for one part. Clones speak for the same part; the last word counts.
#[derive(Clone, Debug)]
pub struct Handle {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    pub fn new() -> Self {
        Self::default()
    }

    /// One to replace this one: what is registered there begins as the part of that name is here.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { parts: Arc::default(), before: self.lock().as_slice().into() }
    }

    /// Adds a part, not ready until its handle says so.
    pub fn register(&self, name: &'static str) -> Handle {
        let starting = || Part { name, state: State::NotReady, reason: Some(Cow::Borrowed("starting")) };
        let part = self.before.iter().find(|part| part.name == name).cloned().unwrap_or_else(starting);
        let mut parts = self.lock();
        parts.push(part);
        Handle { readiness: self.clone(), index: parts.len() - 1 }
    }

    pub fn report(&self) -> Report {
        let parts = self.lock().clone();
        Report { ready: parts.iter().all(|part| part.state != State::NotReady), parts }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    pub fn ready(&self) {
        self.set(State::Ready, None);
    }

    pub fn degraded(&self, reason: impl Into<Cow<'static, str>>) {
        self.set(State::Degraded, Some(reason.into()));
    }

    pub fn not_ready(&self, reason: impl Into<Cow<'static, str>>) {
        self.set(State::NotReady, Some(reason.into()));
    }

    fn set(&self, state: State, reason: Option<Cow<'static, str>>) {
        let mut parts = self.readiness.lock();
        let part = &mut parts[self.index];
        if part.state != state {
            tracing::info!(part = part.name, state = ?state, reason = reason.as_deref(), "readiness changed");
        }
        (part.state, part.reason) = (state, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_must_be_ready() {
        let readiness = Readiness::new();
        assert!(readiness.report().ready);
        let redis = readiness.register("redis");
        let omni = readiness.register("omni");
        omni.ready();
        assert!(!readiness.report().ready, "redis is still starting");
        redis.ready();
        assert!(readiness.report().ready);
        omni.degraded("one of two keys is refused");
        assert!(readiness.report().ready, "a degraded part still works");
        redis.clone().not_ready("connection lost");
        let report = readiness.report();
        assert!(!report.ready);
        assert_eq!(
            serde_json::to_value(report).unwrap(),
            serde_json::json!({"ready": false, "parts": [
                {"name": "redis", "state": "not_ready", "reason": "connection lost"},
                {"name": "omni", "state": "degraded", "reason": "one of two keys is refused"},
            ]})
        );
        redis.ready();
        assert_eq!(readiness.report().parts[0].reason, None);
    }

    #[test]
    fn the_next_one_begins_where_this_one_is_and_goes_its_own_way() {
        let readiness = Readiness::new();
        let redis = readiness.register("redis");
        redis.ready();
        let next = readiness.next();
        next.register("redis");
        assert!(next.report().ready, "nothing is known that speaks against it");
        redis.not_ready("connection lost");
        assert!(next.report().ready && !readiness.report().ready);
        next.register("omni");
        assert!(!next.report().ready, "omni is starting");
    }
}
