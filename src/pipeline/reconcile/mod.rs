//! reconcile: takes prompts that were quiet too long from `deadlines`, leaves behind findings in the inbox, a job that was
//! looked up, or a dead letter. The only one that polls and cancels. Safe to repeat, and to run in several replicas: taking
//! a prompt moves its next check forward as a lease, and every finding is left in one script with the phase it was made in.
//!
//! | phase | is looked at | ends here as |
//! | --- | --- | --- |
//! | waiting, queued | when its time is over | `omni.expired` |
//! | sending | 20 s and 75 s after the create, then ever less often | a job that was found, or a dead letter; never expired |
//! | submitted | after `reconcile.after`, then ever less often; every 5 s where no webhook was asked for | what its job's end says; `omni.expired` |
//! | finishing | when it has been so for far too long | as before: what was lost is found again |

mod finishing;
mod lookup;
mod pace;
mod run;
mod sending;
mod sighting;
mod submitted;

pub use pace::{Pace, Tuning};
pub use run::{Reconciler, run};
