//! Fuzzing of the receiver: random heads and bodies of webhooks against an independent verdict.
//!
//! `OMNI_RELAY_FUZZ_SECONDS` says for how long (3 by default), `OMNI_RELAY_FUZZ_SEED` with which seed. An input that breaks a
//! promise is written to a file, whose path is told; in `corpus/` it is tried first ever after.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod corpus;
mod input;
mod mutate;
mod oracle;
mod run;
mod target;
