//! The integration tests, in one binary.

mod omni_client;
mod openapi;
