//! The simulator, driven over HTTP by a client that knows nothing of it, every answer held against Omni's document.

mod answers;
mod bench;
mod cancel;
mod faults;
mod jobs;
mod users;
mod webhooks;
