//! One at a time for each name, in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

/// Who is at it, and who waits.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<String, Queue>>>);

struct Queue {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Those who are at it or wait.
    people: usize,
}

/// Being the one. The next may go on when it is dropped.
pub(super) struct Flight {
    _turn: OwnedMutexGuard<()>,
    _place: Place,
}

struct Place {
    of: Flights,
    name: String,
}

impl Flights {
    /// Waits to be the one for `name`; `None` when that takes longer than `patience`.
    pub(super) async fn take(&self, name: &str, patience: Duration) -> Option<Flight> {
        let lock = {
            let mut queues = self.lock();
            let queue = queues.entry(name.to_owned()).or_insert_with(|| Queue { lock: Arc::default(), people: 0 });
            queue.people += 1;
            queue.lock.clone()
        };
        let place = Place { of: self.clone(), name: name.to_owned() };
        let turn = tokio::time::timeout(patience, lock.lock_owned()).await.ok()?;
        Some(Flight { _turn: turn, _place: place })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.of.lock();
        if let Some(queue) = queues.get_mut(&self.name) {
            queue.people -= 1;
            if queue.people == 0 {
                queues.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left_behind() {
        let flights = Flights::default();
        let first = flights.take("ada", SOON).await;
        assert!(first.is_some());
        assert!(flights.take("ada", SOON).await.is_none(), "she is looked up already");
        assert!(flights.take("bob", SOON).await.is_some());
        let waiting = flights.take("ada", Duration::from_secs(5));
        let (second, ()) = tokio::join!(waiting, async { drop(first) });
        assert!(second.is_some());
        assert!(flights.take("ada", SOON).await.is_none());
        drop(second);
        assert!(flights.lock().is_empty());
    }
}
