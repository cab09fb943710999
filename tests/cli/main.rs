//! The command line as people and scripts use it: real processes, their output, their exit codes.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod completions;
mod config;
mod dead;
mod demo;
mod embedded;
mod health;
mod help;
mod operator;
mod serve;
mod session;
mod simulate;
mod users;
mod webhook;
