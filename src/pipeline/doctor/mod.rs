//! doctor: looks at everything the relay stands on, and says what was seen and what to do. Changes nothing, but for an event of
//! its own that it sends itself.

mod check;
mod examine;
mod judge;

pub use check::{Check, Health};
pub use examine::Doctor;
