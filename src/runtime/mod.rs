//! What every part of the process stands on: time, tasks and their end, readiness, logs, metrics.

mod clock;
mod lifecycle;

pub use clock::Clock;
pub use lifecycle::{Lifecycle, Outcome, Stop};
