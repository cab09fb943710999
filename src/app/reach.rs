//! Omni, the keys to it, and whom it knows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::derived::backlog;
use crate::config::{Config, OmniConfig, UserCreation};
use crate::omni::{ApiKey, Omni, OmniOptions};
use crate::pipeline::reconcile::Pace;
use crate::pipeline::{Directory, Doctor, Explainer, KeyRing};
use crate::runtime::readiness::Handle;
use crate::runtime::{Clock, hasten};
use crate::store::Store;
use crate::store::budget::Quota;

/// Longest call of Omni.
const OMNI_TIMEOUT: Duration = Duration::from_secs(30);
/// In which Omni's requests are granted: a second longer than its own minute, as they do not take equally long to arrive.
pub(super) const BUDGET_WINDOW: Duration = Duration::from_secs(61);

/// Omni, the keys to it, and whom it knows.
pub(super) struct Reach {
    pub(super) omni: Arc<Omni>,
    pub(super) keys: Arc<KeyRing>,
    pub(super) directory: Directory,
}

impl Reach {
    pub(super) fn explainer(&self, store: &Store, pace: Pace, clock: &Clock) -> Explainer {
        Explainer::new(store.clone(), self.keys.clone(), pace, clock.clone())
    }

    pub(super) fn doctor(&self, config: &Config, store: &Store, clock: &Clock) -> Doctor {
        Doctor {
            store: store.clone(),
            omni: self.omni.clone(),
            keys: self.keys.clone(),
            clock: clock.clone(),
            warnings: config.warnings().to_vec(),
            has_model: config.omni.as_ref().is_some_and(|omni| omni.model_id.is_some()),
            webhook: config.webhook.public_url.clone().zip(config.webhook.secrets.first().cloned()),
            claim_after: config.pipeline.claim_after,
            backlog: backlog(config),
        }
    }
}

pub(super) fn reach(
    config: &Config,
    omni: &OmniConfig,
    store: &Store,
    window: Duration,
    create: UserCreation,
    handle: Handle,
) -> anyhow::Result<Reach> {
    let options = OmniOptions {
        base_url: omni.base_url.clone(),
        timeout: hasten(OMNI_TIMEOUT),
        result_max_bytes: config.results.max,
    };
    let client = Omni::new(options).context("failed to use omni.base_url")?;
    let keys: Result<Vec<ApiKey>, _> = omni.api_keys.iter().map(ApiKey::new).collect();
    let keys = keys.context("failed to use omni.api_keys")?;
    let owed = if config.webhook.public_url.is_some() { 1 } else { 2 };
    let quota = Quota { limit: omni.requests_per_minute, window, owed };
    let keys = KeyRing::new(store.clone(), keys, quota, handle).context("omni.api_keys is empty")?;
    let (omni, keys) = (Arc::new(client), Arc::new(keys));
    let directory = Directory::new(store.clone(), omni.clone(), keys.clone(), create);
    Ok(Reach { omni, keys, directory })
}
