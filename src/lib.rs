//! omni-relay.
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
