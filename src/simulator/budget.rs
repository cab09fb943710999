//! Omni's request budget: so many requests of one key in any sixty seconds, or another window.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

pub(super) struct Budget {
    limit: usize,
    window: Duration,
    used: HashMap<String, VecDeque<Instant>>,
}

impl Budget {
    /// A limit of 0 never refuses.
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        Self { limit: limit as usize, window, used: HashMap::new() }
    }

    /// Counts the request, or says how long the key has to wait. Refused requests are not counted.
    pub(super) fn take(&mut self, key: &str, now: Instant) -> Result<(), Duration> {
        if self.limit == 0 {
            return Ok(());
        }
        let used = self.used.entry(key.to_owned()).or_default();
        while used.front().is_some_and(|first| now.duration_since(*first) >= self.window) {
            used.pop_front();
        }
        match used.front() {
            Some(first) if used.len() >= self.limit => Err(self.window.saturating_sub(now.duration_since(*first))),
            _ => {
                used.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_for_each_key_alone() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut budget = Budget::new(2, Duration::from_mins(1));
        assert_eq!(budget.take("a", at(0)), Ok(()));
        assert_eq!(budget.take("a", at(30)), Ok(()));
        assert_eq!(budget.take("a", at(45)), Err(Duration::from_secs(15)));
        assert_eq!(budget.take("b", at(45)), Ok(()));
        assert_eq!(budget.take("a", at(60)), Ok(()));
        assert_eq!(budget.take("a", at(60)), Err(Duration::from_secs(30)));
    }

    #[test]
    fn no_limit_never_refuses() {
        let mut budget = Budget::new(0, Duration::from_mins(1));
        let now = Instant::now();
        assert!((0..1000).all(|_| budget.take("a", now).is_ok()));
    }
}
