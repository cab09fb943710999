//! An Omni of our own, over HTTP: for tests, for `simulate` and for `demo`.
//!
//! It keeps jobs, conversations and embed users in memory, answers as Omni's published API does, signs and sends
//! webhooks, and can be told to misbehave, for the next job ([`Simulator::next_job`]), for all of them
//! ([`Simulator::set_default`]), for some requests ([`Simulator::fault`]) or by the prompt itself
//! ([`markers`]). It names nothing else of this crate: its wire structs, its signature and its reading of the API are
//! its own, so that a misreading on one side does not cancel itself out on the other.

mod answers;
mod behaviour;
mod budget;
mod clock;
mod conversation;
mod core;
mod fault;
mod gate;
mod handle;
mod job;
pub mod markers;
mod options;
mod pace;
mod routes;
mod runner;
mod socket;
mod view;
mod webhook;
mod wire;
mod world;

pub use behaviour::{Behaviour, CancelRace, CreateReply, EventIds, Outcome, ResultPlan, Timing, WebhookPlan};
pub use fault::{Fault, FaultKind, Matches};
pub use handle::Simulator;
pub use job::JobState;
pub use options::{Options, Sessions, User};
pub use view::{File, JobView, Request};
