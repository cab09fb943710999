//! What commands need that stand beside the relay.

use anyhow::Context;

use super::derived::pace;
use super::reach::{BUDGET_WINDOW, Reach, reach};
use crate::config::{Config, UserCreation};
use crate::pipeline::reconcile::Tuning;
use crate::pipeline::{Directory, Doctor, Explainer, Pauses};
use crate::runtime::{Clock, Readiness, hasten};
use crate::store::Store;

/// Finds users as the relay does, in its budget, for commands that stand beside it. It makes nobody.
pub fn directory(config: &Config, store: &Store) -> anyhow::Result<Directory> {
    Ok(beside(config, store)?.directory)
}

/// Pauses and resumes, for those who stand beside the relay too.
pub fn pauses(config: &Config, store: &Store, clock: &Clock) -> Pauses {
    let tenants = config.callers.iter().filter_map(|caller| caller.tenant.clone()).collect();
    Pauses::new(store.clone(), clock.clone(), tenants)
}

/// Tells stories, for commands that stand beside the relay.
pub fn explainer(config: &Config, store: &Store) -> anyhow::Result<Explainer> {
    let pace = pace(config, Tuning::default());
    Ok(beside(config, store)?.explainer(store, pace, &Clock::system()))
}

/// Examines what the relay stands on, from beside it.
pub fn doctor(config: &Config, store: &Store) -> anyhow::Result<Doctor> {
    Ok(beside(config, store)?.doctor(config, store, &Clock::system()))
}

/// For commands: it makes nobody.
fn beside(config: &Config, store: &Store) -> anyhow::Result<Reach> {
    let omni = config.omni.as_ref().context("failed to use omni: with roles = \"receive\" nothing of it is read")?;
    let handle = Readiness::new().register("omni");
    reach(config, omni, store, hasten(BUDGET_WINDOW), UserCreation::Never, handle)
}
