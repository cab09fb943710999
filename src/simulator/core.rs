//! What handlers, runners and the handle share.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::options::Options;
use super::world::World;

/// A webhook that is not answered within this counts as unanswered.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Core {
    pub(super) options: Options,
    pub(super) address: SocketAddr,
    world: Mutex<World>,
    changed: watch::Sender<()>,
    pub(super) client: reqwest::Client,
    /// Jobs' runners and the server; all of them end when `stop` is cancelled.
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) organization: Uuid,
    /// The user of jobs created without a `userId`.
    pub(super) owner: Uuid,
}

impl Core {
    pub(super) fn new(options: Options, address: SocketAddr) -> io::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(WEBHOOK_TIMEOUT)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            world: Mutex::new(World::new(&options)),
            options,
            address,
            changed: watch::Sender::new(()),
            client,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            organization: Uuid::new_v4(),
            owner: Uuid::new_v4(),
        })
    }

    /// Reads the world.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world, and wakes whoever waits for a change.
    pub(super) fn change<T>(&self, what: impl FnOnce(&mut World) -> T) -> T {
        let changed = what(&mut self.world());
        self.changed.send_replace(());
        changed
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// False when the simulator stopped meanwhile.
    pub(super) async fn sleep(&self, duration: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(duration)).await.is_some()
    }
}
