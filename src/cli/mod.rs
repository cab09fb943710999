//! Floor 5: the command line. One file per command; whoever looks on reads stdout, problems go to stderr.

mod args;
mod dirs;
mod runtime;
mod serve;
mod server;
mod simulate;
mod values;

pub use args::{failed, run};
