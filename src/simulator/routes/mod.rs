//! The API's endpoints, one file per call.

mod cancel;
mod conversations;
mod create;
mod feedback;
mod result;
mod router;
mod sessions;
mod status;
mod users;
mod vis;

pub(super) use router::router;
