//! When a prompt is looked at, and when its time is over. Pure.

use std::time::Duration;

use crate::model::Phase;
use crate::runtime::{hasten, millis};
use crate::store::record::Record;

/// Times that no configuration changes.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Between the submission and the first look at a job without a webhook, and between later ones.
    pub poll: (Duration, Duration),
    /// From a create whose outcome is unknown to the first two look-ups.
    pub lookups: (Duration, Duration),
    /// Longest pause between looks that become rarer.
    pub slowest: Duration,
    /// How long Omni is asked in vain to cancel, or for its conversations, once a prompt's time is over.
    pub insist: Duration,
    /// For how long a prompt that was taken is nobody else's; longer than a look takes.
    pub lease: Duration,
    /// Longest pause between two looks at `deadlines`.
    pub idle: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            poll: (hasten(Duration::from_secs(10)), hasten(Duration::from_secs(5))),
            lookups: (hasten(Duration::from_secs(20)), hasten(Duration::from_secs(75))),
            slowest: hasten(Duration::from_mins(5)),
            insist: hasten(Duration::from_mins(2)),
            lease: hasten(Duration::from_mins(2)),
            idle: Duration::from_millis(250),
        }
    }
}

/// When to look, and for how long at most.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// First look at a job whose webhook does not come; `None` where no webhook is asked for.
    pub after: Option<Duration>,
    /// Longest time a job may run.
    pub deadline: Duration,
    /// Longest time a prompt may wait to be sent.
    pub max_wait: Duration,
    /// The rest.
    pub tuning: Tuning,
}

impl Pace {
    /// From acceptance to the first look.
    pub fn first_check(&self) -> Duration {
        self.first_look().min(self.max_wait)
    }

    /// When a prompt that is submitted now is looked at first, unix milliseconds: not later than its end. Where jobs are
    /// polled, `scarcity` (1 and more) says how much rarer the budget lets them be.
    pub fn submitted_check(&self, record: &Record, now: u64, scarcity: f64) -> u64 {
        let first = self.after.unwrap_or(self.tuning.poll.0.mul_f64(scarcity));
        let first = now.saturating_add(millis(first.min(self.deadline)));
        own_end(record).map_or(first, |end| end.min(first))
    }

    /// When a prompt that is sent now is looked up first, should the answer not come, unix milliseconds.
    pub fn sending_check(&self, now: u64) -> u64 {
        now.saturating_add(millis(self.tuning.lookups.0))
    }

    fn first_look(&self) -> Duration {
        self.after.unwrap_or(self.tuning.poll.0)
    }

    /// From a look to the next one, `elapsed` after the submission: with webhooks each comes half as late again.
    pub(super) fn next_look(&self, elapsed: Duration, scarcity: f64) -> Duration {
        self.after.map_or(self.tuning.poll.1.mul_f64(scarcity), |after| self.rarer(elapsed, after))
    }

    /// For how long a polled job need not be looked at yet: the budget became scarcer since it was submitted.
    pub(super) fn too_young(&self, elapsed: Duration, scarcity: f64) -> Option<Duration> {
        let least = match self.after {
            Some(_) => Duration::ZERO,
            None => self.tuning.poll.0.mul_f64(scarcity),
        };
        least.checked_sub(elapsed).filter(|rest| !rest.is_zero())
    }

    /// From a look-up to the next one, `elapsed` after the create.
    pub(super) fn next_lookup(&self, elapsed: Duration) -> Duration {
        let (first, second) = self.tuning.lookups;
        second.checked_sub(elapsed).filter(|rest| !rest.is_zero()).unwrap_or_else(|| self.rarer(elapsed, first))
    }

    fn rarer(&self, elapsed: Duration, first: Duration) -> Duration {
        (elapsed / 2).min(self.tuning.slowest).max(first / 2)
    }

    /// When the prompt's time is over, unix milliseconds; `None` where no deadline touches it.
    pub fn end(&self, record: &Record) -> Option<u64> {
        let ours = match record.phase {
            Phase::Waiting | Phase::Queued => record.clock_started_at().saturating_add(millis(self.max_wait)),
            Phase::Sending | Phase::Submitted => since(record).saturating_add(millis(self.deadline)),
            _ => return None,
        };
        let end = own_end(record).map_or(ours, |own| own.min(ours));
        // The create may still be on its way, and is looked up at least twice.
        let earliest = match record.phase {
            Phase::Sending => since(record).saturating_add(millis(self.tuning.lookups.1)),
            _ => 0,
        };
        Some(end.max(earliest))
    }
}

/// When the time that the prompt itself names is over, unix milliseconds.
fn own_end(record: &Record) -> Option<u64> {
    let seconds = record.request.as_ref()?.deadline_seconds?;
    Some(record.clock_started_at().saturating_add(seconds.saturating_mul(1000)))
}

/// When the prompt entered its phase, or was put back into it by a replay, unix milliseconds.
pub(super) fn since(record: &Record) -> u64 {
    let entered = record.at.get(&record.phase).copied().unwrap_or_default();
    entered.max(record.replayed_at.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pace(after: Option<u64>) -> Pace {
        let tuning = Tuning {
            poll: (Duration::from_secs(10), Duration::from_secs(5)),
            lookups: (Duration::from_secs(20), Duration::from_secs(75)),
            slowest: Duration::from_mins(5),
            insist: Duration::ZERO,
            lease: Duration::ZERO,
            idle: Duration::ZERO,
        };
        let after = match after {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => None,
        };
        Pace { after, deadline: Duration::from_mins(5), max_wait: Duration::from_hours(1), tuning }
    }

    fn looks(first: Duration, next: impl Fn(Duration) -> Duration) -> Vec<u64> {
        let mut at = first;
        let mut all = Vec::new();
        for _ in 0..7 {
            all.push(at.as_secs());
            at += next(at);
        }
        all
    }

    #[test]
    fn with_webhooks_a_quiet_job_is_looked_at_ever_less_often() {
        let pace = pace(Some(75));
        assert_eq!(looks(pace.first_look(), |at| pace.next_look(at, 4.0)), [75, 112, 168, 253, 379, 569, 854]);
        assert_eq!(pace.next_look(Duration::from_hours(1), 1.0), Duration::from_mins(5));
    }

    #[test]
    fn without_webhooks_a_job_is_polled() {
        let pace = pace(None);
        assert_eq!(looks(pace.first_look(), |at| pace.next_look(at, 1.0)), [10, 15, 20, 25, 30, 35, 40]);
        assert_eq!(looks(pace.first_look(), |at| pace.next_look(at, 2.0)), [10, 20, 30, 40, 50, 60, 70]);
        assert_eq!(pace.too_young(Duration::from_secs(12), 1.0), None);
        assert_eq!(pace.too_young(Duration::from_secs(12), 2.0), Some(Duration::from_secs(8)));
    }

    #[test]
    fn a_create_is_looked_up_twice_soon_and_then_less_often() {
        let pace = pace(Some(75));
        assert_eq!(
            looks(Duration::from_millis(pace.sending_check(0)), |at| pace.next_lookup(at)),
            [20, 75, 112, 168, 253, 379, 569]
        );
    }

    #[test]
    fn a_first_look_is_never_later_than_the_longest_wait() {
        assert_eq!(Pace { max_wait: Duration::from_secs(3), ..pace(Some(75)) }.first_check(), Duration::from_secs(3));
        assert_eq!(pace(Some(600)).next_look(Duration::from_mins(10), 1.0), Duration::from_mins(5));
    }
}
