//! The integration tests, one binary: real Redis, the simulator over HTTP.

mod crash;
mod embedded;
mod fixture;
mod http;
mod omni_client;
mod openapi;
mod recorded;
mod redis;
mod simulator;
mod store;
mod story;
mod world;
