//! The relay: a process' listeners, and the generation of services and stages that is at work behind them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;

use super::generation::Generation;
use super::lasting::Lasting;
use super::listen::{Doors, Listeners};
use super::parts::Parts;
use crate::config::{Config, Origin};
use crate::store::Store;

/// A running relay. Its tasks belong to the lifecycle it was given.
pub struct App {
    /// Where `/v1`, webhooks and probes answer.
    pub address: SocketAddr,
    /// Where `/metrics` answers.
    pub admin_address: Option<SocketAddr>,
    /// The store, for those who look inside.
    pub store: Store,
    parts: Parts,
    lasting: Lasting,
    doors: Doors,
    current: Mutex<Generation>,
}

impl App {
    /// Binds, then starts every stage. Redis need not be there yet: until it is, the relay is not ready.
    pub async fn start(config: &Config, parts: Parts) -> anyhow::Result<Self> {
        let listeners = Listeners::bind(&config.http).await?;
        let lasting = Lasting::new(config, &parts)?;
        let (current, served) = Generation::start(config.clone(), &parts, &lasting, None)?;
        lasting.grant(&served);
        let doors = listeners.open(&served, &parts.lifecycle);
        Ok(Self {
            address: doors.address(),
            admin_address: doors.admin_address(),
            store: current.store.clone(),
            parts,
            lasting,
            doors,
            current: Mutex::new(current),
        })
    }

    /// Puts another configuration into force without closing a connection, but for answers that last and go to somebody
    /// who has no right to them any more. What was at work ends as a replica does, within `grace`. An error names what is
    /// wrong, and then nothing has changed.
    pub fn reload(
        &self,
        config: Config,
        settings: Vec<(String, String, Origin)>,
        grace: Duration,
    ) -> anyhow::Result<()> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let fixed = current.config.needs_restart(&config);
        ensure!(fixed.is_empty(), "changed, and taken at a start only: {}", fixed.join(", "));
        let parts = Parts { settings, ..self.parts.clone() };
        let (next, served) = Generation::start(config, &parts, &self.lasting, Some(&current))?;
        // First: whoever comes in by the new router must find the rights that it goes by.
        self.lasting.grant(&served);
        self.doors.lead_to(&served);
        let keys = next.keys.clone();
        let before = std::mem::replace(&mut *current, next);
        self.parts.lifecycle.spawn("generation", async move {
            let _ = before.lifecycle.stop(grace).await;
            if let Some((before, next)) = before.keys.zip(keys) {
                before.leave_to(&next);
            }
            Ok::<(), Infallible>(())
        });
        Ok(())
    }
}
