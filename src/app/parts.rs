//! What a process brings along, whatever its configuration.

use std::time::Duration;

use super::reach::BUDGET_WINDOW;
use crate::config::Origin;
use crate::pipeline::reconcile::Tuning;
use crate::runtime::{Clock, Lifecycle, Metrics, hasten};

/// What a process brings along.
#[derive(Clone)]
pub struct Parts {
    /// Time.
    pub clock: Clock,
    /// Owns every task.
    pub lifecycle: Lifecycle,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// The short waits for a result that is not there yet: how many, how long.
    pub patience: (u32, Duration),
    /// When quiet prompts are looked at.
    pub tuning: Tuning,
    /// In which Omni grants its requests.
    pub budget_window: Duration,
    /// The settings in force, as [`Loaded::show`](crate::config::Loaded::show) has them.
    pub settings: Vec<(String, String, Origin)>,
}

impl Parts {
    /// As `serve` runs.
    pub fn new(lifecycle: Lifecycle, metrics: Metrics) -> Self {
        let patience = (8, hasten(Duration::from_secs(1)));
        let (tuning, budget_window) = (Tuning::default(), hasten(BUDGET_WINDOW));
        Self { clock: Clock::system(), lifecycle, metrics, patience, tuning, budget_window, settings: Vec::new() }
    }
}
