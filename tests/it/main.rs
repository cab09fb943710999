//! The integration tests, one binary: real Redis, the simulator over HTTP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod crash;
mod described;
mod embedded;
mod fixture;
mod http;
mod mcp;
mod observability;
mod omni_client;
mod openapi;
mod readers;
mod recorded;
mod redis;
mod reload;
mod roles;
mod secrets;
#[cfg(feature = "failpoints")]
mod seeds;
mod simulator;
mod soak;
mod store;
mod story;
mod traces;
mod world;
