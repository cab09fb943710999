//! The Redis that tests run on.
//!
//! [`TestRedis::start`] shares one server per test process; every caller gets a namespace of its own. It is the server
//! at `OMNI_RELAY_TEST_REDIS_URL` where that is set, else by `OMNI_RELAY_TEST_REDIS`: `container` (an engine must
//! answer), `process`, or `auto`, which takes a container where an engine answers and a process elsewhere.
//! [`PrivateRedis`](private::PrivateRedis) is a process that one test may stop, kill and freeze, [`Trio`] one master with
//! two replicas and three sentinels, [`Cluster`] three masters with as many replicas each,
//! [`Tls`] servers that speak TLS.
//!
//! Statics are never dropped, and a test may be killed: every server has a guard, a shell that waits for the end of
//! this process on a pipe and then removes the server. Which server it was is appended to the file named by
//! `OMNI_RELAY_TEST_REDIS_REPORT`.

mod cluster;
mod guard;
pub(crate) mod private;
mod process;
mod proxy;
mod reach;
mod sentinel;
mod server;
mod shared;
mod tls;

pub(crate) use cluster::Cluster;
#[cfg(feature = "failpoints")]
pub(crate) use guard::Guard;
pub(crate) use proxy::Proxy;
pub(crate) use reach::run;
pub(crate) use sentinel::Trio;
pub(crate) use shared::TestRedis;
pub(crate) use tls::{Form, Tls};
