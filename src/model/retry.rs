//! How long to wait before the next attempt: exponential with full jitter, `Retry-After` as a lower bound.

use std::time::Duration;

/// The policy of one relay.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Shortest wait.
    pub base: Duration,
    /// Longest wait.
    pub cap: Duration,
    /// Attempts before an entry is dead-lettered.
    pub attempts: u32,
}

impl Backoff {
    /// Whether another attempt is due after `failed` ones.
    pub const fn another(&self, failed: u32) -> bool {
        failed < self.attempts
    }

    /// The wait after the `failed`-th failed attempt (1 for the first): uniform between `base` and `base · 2ⁿ`, at most
    /// `cap`; never less than `not_before`. `luck` is uniform in `0.0..1.0`.
    pub fn delay(&self, failed: u32, not_before: Option<Duration>, luck: f64) -> Duration {
        let ceiling = self.base.saturating_mul(1_u32.checked_shl(failed).unwrap_or(u32::MAX)).min(self.cap);
        let jittered = self.base + ceiling.saturating_sub(self.base).mul_f64(luck.clamp(0.0, 1.0));
        jittered.min(self.cap).max(not_before.unwrap_or_default())
    }
}

/// A wait that doubles from `first` to `last`: for states that pass by themselves (a busy conversation).
pub fn doubling(first: Duration, last: Duration, times: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_delay_stays_in_its_bounds(failed in 0_u32..200, luck in 0.0_f64..1.0, floor_ms in proptest::option::of(0_u64..1_000_000)) {
            let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_mins(5), attempts: 12 };
            let floor = floor_ms.map(Duration::from_millis);
            let delay = backoff.delay(failed, floor, luck);
            prop_assert!(delay >= backoff.base);
            prop_assert!(delay <= backoff.cap.max(floor.unwrap_or_default()));
            prop_assert!(floor.is_none_or(|floor| delay >= floor), "Retry-After is a lower bound");
        }
    }

    #[test]
    fn the_ceiling_doubles() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_mins(5), attempts: 12 };
        let ceilings: Vec<u64> = (1..=10).map(|n| backoff.delay(n, None, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(doubling(Duration::from_secs(5), Duration::from_mins(1), 9), Duration::from_mins(1));
    }
}
