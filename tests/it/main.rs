//! Integration tests: one binary, real Redis.

mod embedded;
mod fixture;
mod redis;
