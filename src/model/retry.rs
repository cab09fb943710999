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

    /// What configurations may hold: the cap is no shorter than the base.
    fn backoffs() -> impl Strategy<Value = Backoff> {
        let (base, cap) = (1_u64..600_000, 0_u64..86_400_000);
        (base, cap, 1_u32..1000).prop_map(|(base, longer, attempts)| {
            let (base, cap) = (Duration::from_millis(base), Duration::from_millis(base + longer));
            Backoff { base, cap, attempts }
        })
    }

    /// `base · 2ⁿ` and `cap`, whichever is shorter, in nanoseconds.
    fn ceiling(backoff: &Backoff, failed: u32) -> u128 {
        (backoff.base.as_nanos() << failed.min(64)).min(backoff.cap.as_nanos())
    }

    proptest! {
        #[test]
        fn a_delay_stays_in_its_bounds(backoff in backoffs(), failed: u32, luck in 0.0_f64..=1.0, floor_ms in proptest::option::of(0_u64..200_000_000)) {
            let delay = backoff.delay(failed, None, luck);
            prop_assert!(delay >= backoff.base);
            // Times of this size have no more than a nanosecond of rounding.
            prop_assert!(delay.as_nanos() <= ceiling(&backoff, failed) + 1, "{delay:?} is too long");
            let floor = floor_ms.map(Duration::from_millis);
            prop_assert_eq!(backoff.delay(failed, floor, luck), delay.max(floor.unwrap_or_default()), "Retry-After is a lower bound");
            prop_assert_eq!(backoff.another(failed), failed < backoff.attempts);
        }

        #[test]
        fn the_jitter_is_full(backoff in backoffs(), failed in 0_u32..100) {
            prop_assert_eq!(backoff.delay(failed, None, 0.0), backoff.base);
            let most = backoff.delay(failed, None, 1.0).as_nanos();
            prop_assert!(most.abs_diff(ceiling(&backoff, failed)) <= 1, "{most} of {}", ceiling(&backoff, failed));
            let half = backoff.delay(failed, None, 0.5).as_nanos();
            prop_assert!((2 * half).abs_diff(most + backoff.base.as_nanos()) <= 4, "{half} of {most}");
        }

        #[test]
        fn nothing_overflows(failed: u32, base: u64, cap: u64, luck: f64, floor: u64, times: u32) {
            let (base, cap) = (Duration::from_nanos(base), Duration::from_nanos(cap));
            let delay = Backoff { base, cap, attempts: 1 }.delay(failed, Some(Duration::from_secs(floor)), luck);
            prop_assert!(delay >= Duration::from_secs(floor));
            prop_assert!(doubling(base, cap, times) <= cap);
            prop_assert!(doubling(base, cap, times.saturating_add(1)) >= doubling(base, cap, times));
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
