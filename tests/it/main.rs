//! The integration tests, one binary.

mod openapi;
mod simulator;
