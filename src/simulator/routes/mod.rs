//! The API's endpoints, one file per call.

mod cancel;
mod conversations;
mod create;
mod result;
mod router;
mod sessions;
mod status;
mod users;

pub(super) use router::router;
