//! The store on a real Redis: each test tells what a move promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accept;
mod bed;
mod bury;
mod cluster;
mod connection;
mod due;
mod forms;
mod publish;
mod receive;
mod sentinel;
mod settle;
mod storm;
mod streams;
mod submit;
mod turns;
