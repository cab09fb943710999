//! The one source of time. Tests hold one that they can shift.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Tells the time. Clones of a shiftable clock shift together.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Milliseconds ahead of the system's clock.
    offset: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self { offset: None }
    }

    /// The system's clock until somebody calls [`Clock::shift`].
    pub fn shiftable() -> Self {
        Self { offset: Some(Arc::default()) }
    }

    pub fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
        let now = Timestamp::now();
        match &self.offset {
            None => now,
            Some(offset) => {
                now.saturating_add(SignedDuration::from_millis(offset.load(Ordering::SeqCst))).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.now().as_millisecond()).unwrap_or(0)
    }

    /// Moves this clock and its clones forward, by whole milliseconds. Panics on a system clock.
    pub fn shift(&self, by: Duration) {
        let offset = self.offset.as_ref().expect("only a clock made by `shiftable` can be shifted");
        offset.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_reaches_every_clone() {
        let clock = Clock::shiftable();
        let clone = clock.clone();
        let before = clone.now_ms();
        clock.shift(Duration::from_hours(1));
        clock.shift(Duration::from_millis(5));
        assert!(clone.now_ms() >= before + 3_600_005);
        assert!(Clock::system().now_ms() < before + 3_600_000);
    }

    #[test]
    #[should_panic(expected = "only a clock made by `shiftable`")]
    fn a_system_clock_does_not_shift() {
        Clock::system().shift(Duration::from_secs(1));
    }
}
