//! The integration tests, one binary: real Redis, the simulator over HTTP.

mod embedded;
mod fixture;
mod omni_client;
mod openapi;
mod redis;
mod simulator;
mod store;
