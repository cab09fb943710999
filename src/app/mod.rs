//! Composition: a configuration and parts become services and stages, each built once.

mod beside;
mod derived;
mod listen;
mod reach;
mod relay;
mod stages;

pub use beside::{directory, doctor, explainer, pauses};
pub use relay::{App, Parts};
