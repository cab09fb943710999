//! What this process may begin: nothing that an operator paused, as all replicas see it, and nothing at all while this one
//! drains.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;

use crate::model::Tenant;
use crate::runtime::readiness::Handle;
use crate::runtime::{Stop, chain, hasten};
use crate::store::delivery::Stream;
use crate::store::pauses::Pausable;
use crate::store::{Store, StoreError};

/// Pause between two looks at what is paused.
const LOOK: Duration = Duration::from_secs(1);

/// What is held back. Clones are the same.
#[derive(Clone)]
pub struct Switch {
    held: Arc<watch::Sender<Held>>,
    in_work: Arc<AtomicUsize>,
    readiness: Handle,
}

#[derive(Default)]
struct Held {
    /// `None` until somebody looked: then nothing is begun yet.
    paused: Option<Vec<Pausable>>,
    drains: bool,
}

/// One stage's share in it. Readiness and the gauge say that the stage is held back once it is: nothing is being read.
pub struct Gate {
    switch: Switch,
    stream: Stream,
    readiness: Handle,
}

impl Switch {
    /// A switch that tells what is held back.
    pub fn new(readiness: Handle) -> Self {
        Self { held: Arc::default(), in_work: Arc::default(), readiness }
    }

    /// The same switch, that tells it by another handle.
    #[must_use]
    pub fn telling(&self, readiness: Handle) -> Self {
        Self { readiness, ..self.clone() }
    }

    /// Nothing new is begun by this process any more.
    pub fn drain(&self, who: &str) {
        let first = self.held.send_if_modified(|held| {
            self.readiness.not_ready("draining");
            !std::mem::replace(&mut held.drains, true)
        });
        if first {
            info!(who, "draining");
        }
    }

    /// Whether nothing new is begun.
    pub fn drains(&self) -> bool {
        self.held.borrow().drains
    }

    /// How many handlings are under way.
    pub fn in_work(&self) -> usize {
        self.in_work.load(Ordering::SeqCst)
    }

    /// Whether prompts of this tenant wait.
    pub fn holds(&self, tenant: &Tenant) -> bool {
        self.held.borrow().has(&Pausable::Tenant(tenant.clone()))
    }

    /// A stage's share.
    pub fn gate(&self, stream: Stream, readiness: Handle) -> Gate {
        Gate { switch: self.clone(), stream, readiness }
    }
}

impl Held {
    fn has(&self, what: &Pausable) -> bool {
        self.paused.as_ref().is_some_and(|paused| paused.contains(what))
    }
}

impl Gate {
    /// The whole.
    pub const fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Waits until the stage may read. To be asked before each reading.
    pub(super) async fn opened(&self) {
        let mut changes = self.switch.held.subscribe();
        while !self.is_open(&changes.borrow_and_update()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Goes on saying whether the stage is held back, for as long as nothing is read anyway.
    pub(super) async fn told(&self) -> Infallible {
        let mut changes = self.switch.held.subscribe();
        loop {
            self.is_open(&changes.borrow_and_update());
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Counts a handling for as long as what this answers is held.
    pub(super) fn begin(&self) -> Handling {
        self.switch.in_work.fetch_add(1, Ordering::SeqCst);
        Handling(self.switch.in_work.clone())
    }

    fn is_open(&self, held: &Held) -> bool {
        let why = match () {
            () if held.paused.is_none() => return false,
            () if held.drains => Some("draining"),
            () if held.has(&Pausable::Stage(self.stream)) => Some("paused"),
            () => None,
        };
        match why {
            Some(why) => self.readiness.degraded(why),
            None => self.readiness.ready(),
        }
        metrics::gauge!("omni_relay_paused", "stage" => self.stream.stage()).set(if why.is_some() { 1.0 } else { 0.0 });
        why.is_none()
    }
}

/// One handling that is under way.
pub(super) struct Handling(Arc<AtomicUsize>);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Looks at what is paused until the stop. While Redis is away, what was seen last holds.
pub async fn run(store: Store, switch: Switch, stop: Stop) -> Result<(), StoreError> {
    while !stop.is_requested() {
        match store.pauses().await {
            Ok(all) => {
                let paused: Vec<Pausable> = all.into_iter().map(|pause| pause.what).collect();
                switch.held.send_modify(|held| {
                    match paused.iter().filter(|what| matches!(what, Pausable::Tenant(_))).count() {
                        _ if held.drains => switch.readiness.not_ready("draining"),
                        0 => switch.readiness.ready(),
                        1 => switch.readiness.degraded("1 tenant is paused"),
                        some => switch.readiness.degraded(format!("{some} tenants are paused")),
                    }
                    held.paused = Some(paused);
                });
            }
            Err(error) => tracing::debug!(error = %chain(&error), "cannot see what is paused"),
        }
        stop.pause(hasten(LOOK)).await;
    }
    Ok(())
}
