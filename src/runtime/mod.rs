//! What every part of the process stands on: time, tasks and their end, readiness, logs, metrics, traces.

mod chain;
mod clock;
pub mod failpoint;
mod haste;
mod lifecycle;
pub mod logs;
pub mod metrics;
pub mod readiness;
mod trace_context;
pub mod traces;

pub use chain::chain;
pub use clock::{Clock, millis};
pub use haste::hasten;
pub use lifecycle::{Lifecycle, Outcome, Stop};
pub use metrics::Metrics;
pub use readiness::Readiness;
pub use trace_context::TraceContext;
