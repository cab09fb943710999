//! Floor 3: the stages. They never call each other: they hand over through the store.
//!
//! A prompt passes [`intake`], [`submit`], Omni, [`receive`] and [`process`]; what has to wait passes [`due`], what stays
//! quiet [`reconcile`]. Each stage decides, and says so as a [`stage::Disposition`]; only the one loop in [`worker`]
//! settles deliveries. What operators hold back is a [`switch`], set by [`pauses`]; [`explain`] and [`doctor`] tell them why.

mod answer;
pub mod cancel;
pub mod chart;
mod creation;
pub mod dead_letters;
mod decide;
pub mod directory;
pub mod doctor;
pub mod due;
mod ending;
pub mod explain;
pub mod feedback;
mod flights;
mod in_work;
mod insist;
pub mod intake;
pub mod keyring;
mod limits;
pub mod mcp;
pub mod pauses;
pub mod process;
mod progress;
pub mod receive;
pub mod reconcile;
pub mod runs;
mod settle;
pub mod stage;
mod steps;
pub mod story;
pub mod submit;
pub mod switch;
pub mod worker;

pub use cancel::Canceller;
pub use chart::Charts;
pub use dead_letters::{DeadLetters, EditError};
pub use directory::Directory;
pub use doctor::Doctor;
pub use explain::Explainer;
pub use feedback::{NotRated, Rater};
pub use intake::{Intake, IntakeError, IntakeStage};
pub use keyring::KeyRing;
pub use limits::Limits;
pub use mcp::Gateway;
pub use pauses::{NotPaused, Pauses};
pub use process::Process;
pub use receive::Receiver;
pub use reconcile::Reconciler;
pub use runs::Runs;
pub use submit::Submitter;
pub use switch::Switch;
pub use worker::Worker;
