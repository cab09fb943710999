//! Composition: a configuration and parts become services and stages, each built once, of those that the roles ask for.

mod beside;
mod derived;
mod listen;
mod reach;
mod relay;
mod services;
mod stages;

pub use beside::{directory, doctor, explainer, pauses};
pub use relay::{App, Parts};
