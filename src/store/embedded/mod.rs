//! The embedded default: a private Redis or Valkey server as a managed child on a Unix socket.
//!
//! For `demo` and `--redis embedded`: one person, one machine. The data directory belongs to one relay at a time; a
//! server that a killed relay left behind is found by its socket there, stopped, and its data taken over.

mod binary;
mod control;
mod error;
mod home;
mod server;

pub use binary::{ServerBinary, default_search};
pub use error::EmbeddedError;
pub use server::{Embedded, EmbeddedOptions};
