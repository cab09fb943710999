//! How a job's time is spent.

use std::time::Duration;

use tokio::time::Instant;

/// When a job moves on: a tenth of its time queued, a tenth delivering, between them iterations.
pub(super) struct Pace {
    pub(super) born: Instant,
    pub(super) duration: Duration,
    /// Nothing is waited for any more.
    pub(super) released: bool,
    pub(super) cancel_at: Option<Instant>,
}

impl Pace {
    pub(super) fn queued_until(&self) -> Instant {
        self.born + self.duration / 10
    }

    pub(super) fn executing_until(&self) -> Instant {
        self.born + self.duration * 9 / 10
    }

    pub(super) fn delivering_until(&self) -> Instant {
        self.born + self.duration
    }

    fn iteration_length(&self) -> Duration {
        (self.duration / 5).clamp(Duration::from_millis(1), Duration::from_secs(2))
    }

    /// Which iteration an executing job is in, from 1.
    pub(super) fn iteration(&self, now: Instant) -> u32 {
        let spent = now.saturating_duration_since(self.queued_until()).as_nanos();
        u32::try_from(spent / self.iteration_length().as_nanos()).unwrap_or(u32::MAX - 1) + 1
    }

    pub(super) fn iteration_end(&self, now: Instant) -> Instant {
        self.queued_until() + self.iteration_length().saturating_mul(self.iteration(now))
    }

    pub(super) fn over(&self, until: Instant, now: Instant) -> bool {
        self.released || now >= until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_follow_each_other_from_the_start_of_the_execution() {
        let pace = Pace { born: Instant::now(), duration: Duration::from_secs(10), released: false, cancel_at: None };
        let at = |seconds| pace.born + Duration::from_secs(seconds);
        assert_eq!((pace.iteration(at(0)), pace.iteration(at(1)), pace.iteration(at(4))), (1, 1, 2));
        assert_eq!((pace.iteration_end(at(1)), pace.iteration_end(at(4))), (at(3), at(5)));
        assert!(!pace.over(at(9), at(8)) && pace.over(at(9), at(9)));
    }
}
