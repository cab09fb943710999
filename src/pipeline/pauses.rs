//! pauses: takes what an operator wants held back, or going on again, and leaves the pause behind for all replicas. Safe to
//! repeat: who paused first stands there.

use std::collections::BTreeSet;

use tracing::info;

use crate::model::Tenant;
use crate::runtime::Clock;
use crate::store::pauses::{Note, Pausable, Paused};
use crate::store::{Store, StoreError};

/// Longest reason.
const LONGEST: usize = 500;

/// Pauses and resumes.
#[derive(Clone)]
pub struct Pauses {
    store: Store,
    clock: Clock,
    /// Tenants that can be paused; any where none are configured.
    tenants: BTreeSet<String>,
}

/// Why nothing was paused or resumed.
#[derive(Debug, thiserror::Error)]
pub enum NotPaused {
    /// A word that no stage has.
    #[error("there is no stage of this name: there are intake, submit and process")]
    NoStage,
    /// No caller has this tenant.
    #[error("there is no tenant of this name")]
    NoTenant,
    /// What was said about it is too long.
    #[error("the reason is longer than {LONGEST} bytes")]
    LongReason,
    /// Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Pauses {
    /// `tenants` are those that callers have, where there are callers.
    pub const fn new(store: Store, clock: Clock, tenants: BTreeSet<String>) -> Self {
        Self { store, clock, tenants }
    }

    /// The stage of this name.
    pub fn stage(&self, name: &str) -> Result<Pausable, NotPaused> {
        format!("stage:{name}").parse().map_err(|()| NotPaused::NoStage)
    }

    /// The tenant of this name. One that nobody has could be paused to no effect, and is most likely misspelt.
    pub fn tenant(&self, name: &str) -> Result<Pausable, NotPaused> {
        let known = !name.is_empty() && (self.tenants.is_empty() || self.tenants.contains(name));
        known.then(|| Pausable::Tenant(Tenant::new(Some(name)))).ok_or(NotPaused::NoTenant)
    }

    /// What is paused.
    pub async fn list(&self) -> Result<Vec<Paused>, StoreError> {
        self.store.pauses().await
    }

    /// Pauses, and says whether it was not paused before. Replicas obey within about two seconds; what they hold by then is
    /// finished.
    pub async fn pause(&self, what: Pausable, who: &str, why: Option<String>) -> Result<bool, NotPaused> {
        if why.as_ref().is_some_and(|why| why.len() > LONGEST) {
            return Err(NotPaused::LongReason);
        }
        let note = Note { who: who.to_owned(), at: self.clock.now(), why };
        let pause = Paused { what, note };
        let news = self.store.pause(&pause).await?;
        if news {
            info!(what = %pause.what, who, "paused");
        }
        Ok(news)
    }

    /// Has it go on, and says whether it was paused.
    pub async fn resume(&self, what: &Pausable, who: &str) -> Result<bool, NotPaused> {
        let news = self.store.resume(what, who).await?;
        if news {
            info!(%what, who, "resumed");
        }
        Ok(news)
    }
}
