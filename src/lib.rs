//! omni-relay: asks Omni Analytics on behalf of embed users, and delivers every answer once, as an event on a Redis stream.
//!
//! The path of a prompt: [`http`] or the intake stream → [`pipeline::intake`] → [`pipeline::submit`] → Omni → its signed
//! webhook → [`pipeline::receive`] → [`pipeline::process`] → the conversation's stream. Stages hand over through the
//! [`store`] and never call each other.
//!
//! The floors, each naming only lower ones (`tests/architecture.rs` keeps it so):
//!
//! | floor | rooms |
//! | --- | --- |
//! | 6 | [`cli`]: one file per command |
//! | 5 | [`app`]: a configuration becomes services and stages |
//! | 4 | [`http`]: what callers, browsers, Omni and probes see |
//! | 3 | [`pipeline`]: the stages and the one worker loop |
//! | 2 | [`store`]: the only speaker of Redis; [`omni`]: the only speaker of Omni |
//! | 1 | [`config`], [`runtime`]: what every process stands on |
//! | 0 | [`model`]: nouns and rules, no I/O |
//!
//! Outside the house stands [`simulator`], an Omni of our own for tests and demos, which names nothing else here.
pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod model;
pub mod omni;
pub mod pipeline;
pub mod runtime;
pub mod simulator;
pub mod store;
