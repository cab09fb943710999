//! Redis in each of its forms behind one handle: a server, the master that Sentinels name, a Cluster.
//!
//! [`Redis`] runs commands. A `node` is one server, or the master of the moment: one shared connection that is replaced
//! when it breaks, and connections of their own for blocking reads and for moves that wait for replicas (`durable`).
//! `cluster` knows which node holds which slot.
//!
//! Commands are never repeated from here, but for one that Redis sent elsewhere and did not run: whether a lost one took
//! effect is unknown, and the callers' moves are what is safe to repeat. A connection is given up on the first timeout: one
//! that leads nowhere never errs on its own.

mod address;
mod ask;
mod cluster;
mod dedicated;
mod durable;
mod handle;
mod node;
mod sentinel;
mod slot;

use std::time::Duration;

pub use dedicated::Dedicated;
pub use handle::Redis;

const CONNECT: Duration = Duration::from_secs(1);
const RESPONSE: Duration = Duration::from_secs(2);
/// While Redis is away, this long passes between attempts to reach it; calls in between fail at once.
const PAUSE: Duration = Duration::from_millis(100);
