//! Composition: a configuration and parts become services and stages, each built once, of those that the roles ask for;
//! a reload builds others in their place.

mod beside;
mod connection;
mod derived;
mod generation;
mod lasting;
mod listen;
mod parts;
mod reach;
mod relay;
mod services;
mod stages;

pub use beside::{directory, doctor, explainer, pauses};
pub use parts::Parts;
pub use relay::App;
