//! Which entries this process is at work on. Redis may hand out an entry twice to the same consumer: a failover forgets
//! that it was read, a claim takes what was not renewed while Redis was away. To the scripts both handlers are its holder,
//! and what one of them undoes the other may take for an end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The entries of one stage.
#[derive(Clone, Default)]
pub(super) struct InWork(Arc<Mutex<HashSet<String>>>);

/// One of them; not in work any more when dropped.
pub(super) struct Held {
    of: InWork,
    entry: String,
}

impl InWork {
    /// `None` when somebody is at work on it.
    pub(super) fn hold(&self, entry: &str) -> Option<Held> {
        self.lock().insert(entry.to_owned()).then(|| Held { of: self.clone(), entry: entry.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.lock().remove(&self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_held_once_at_a_time() {
        let in_work = InWork::default();
        let held = in_work.hold("1-1");
        assert!(held.is_some() && in_work.hold("1-2").is_some());
        assert!(in_work.clone().hold("1-1").is_none());
        drop(held);
        assert!(in_work.hold("1-1").is_some());
    }
}
