//! Floor 6: the command line. One file per command; whoever looks on reads stdout, problems go to stderr.

mod args;
mod ask;
mod attach;
mod audit;
mod completions;
mod config;
mod dead;
mod demo;
mod dirs;
mod doctor;
mod events;
mod explain;
mod health;
mod output;
mod pause;
mod prompt;
mod relay;
mod runs;
mod runtime;
mod serve;
mod server;
mod show;
mod simulate;
mod store;
mod tail;
mod users;
mod values;
mod webhook;

pub use args::{failed, run};
