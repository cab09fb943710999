//! The store on a real Redis: each test tells what a move promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accept;
mod acl;
mod attachments;
mod backlog;
mod bed;
mod budget;
mod bury;
mod cancel;
mod cluster;
mod connection;
mod dead;
mod due;
mod economy;
mod forms;
mod letters;
mod lost;
mod mcp;
mod memory;
mod pauses;
mod phases;
mod progress;
mod publish;
mod receive;
mod reconcile;
mod replicas;
mod runs;
mod sentinel;
mod settle;
mod shape;
mod spread;
mod storm;
mod streams;
mod submit;
mod tls;
mod turns;
mod users;
mod walk;

pub(crate) use bed::policy;
