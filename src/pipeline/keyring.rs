//! Omni's keys: which one asks, and which one reads what it asked for.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::omni::ApiKey;

/// The configured keys; there is at least one.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<ApiKey>,
    next: AtomicUsize,
}

impl KeyRing {
    /// A ring; `None` without a key.
    pub fn new(keys: Vec<ApiKey>) -> Option<Self> {
        (!keys.is_empty()).then(|| Self { keys, next: AtomicUsize::new(0) })
    }

    /// The next key, in turn.
    pub fn next(&self) -> &ApiKey {
        &self.keys[self.next.fetch_add(1, Ordering::Relaxed) % self.keys.len()]
    }

    /// The key that created a job, or, when it left the configuration, any other: an organization's keys read each
    /// other's jobs.
    pub fn by_id(&self, id: Option<&str>) -> &ApiKey {
        self.keys.iter().find(|key| Some(key.id()) == id).unwrap_or_else(|| self.next())
    }
}
