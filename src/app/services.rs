//! What the role `api` serves.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;

use super::beside::pauses;
use super::derived::pace;
use super::lasting::Lasting;
use super::parts::Parts;
use super::reach::Reach;
use crate::config::Config;
use crate::http::{Console, Own, ServiceParts, Services, Tokens};
use crate::omni::McpClient;
use crate::pipeline::{Canceller, Charts, DeadLetters, Gateway, Intake, Rater, Runs};
use crate::runtime::hasten;
use crate::store::Store;

/// Longest time until an answer for an agent begins.
const MCP_PATIENCE: Duration = Duration::from_mins(2);

pub(super) fn services(
    config: &Config,
    parts: &Parts,
    lasting: &Lasting,
    store: &Store,
    reach: &Reach,
    intake: Intake,
    own: Arc<Own>,
) -> anyhow::Result<Services> {
    let dead_letters = DeadLetters::new(store.clone(), parts.clock.clone(), config.reconcile.after);
    let charts = Charts::new(store.clone(), reach.omni.clone(), reach.keys.clone());
    Ok(Services::from(ServiceParts {
        own,
        store: store.clone(),
        intake,
        canceller: Canceller::new(store.clone(), parts.clock.clone(), config.reconcile.after),
        charts: config.results.charts.then_some(charts),
        rater: Rater::new(reach.omni.clone(), reach.keys.clone()),
        runs: Runs::new(store.clone(), dead_letters.clone(), parts.clock.clone()),
        dead_letters,
        pauses: pauses(config, store, &parts.clock),
        explainer: reach.explainer(store, pace(config, parts.tuning), &parts.clock),
        doctor: reach.doctor(config, store, &parts.clock),
        keys: reach.keys.clone(),
        gateway: gateway(store, reach)?,
        feeds: lasting.feeds.clone(),
        wake: lasting.wake.clone(),
        tokens: Tokens::new(&config.tokens.secrets, &config.namespace, parts.clock.clone()).map(Arc::new),
        rights: lasting.rights.clone(),
        console: console(config, parts, lasting, store),
        clock: parts.clock.clone(),
        stop: lasting.stop.clone(),
    }))
}

fn gateway(store: &Store, reach: &Reach) -> anyhow::Result<Gateway> {
    let client = McpClient::new(reach.omni.base_url(), hasten(MCP_PATIENCE)).context("failed to use omni.base_url")?;
    Ok(Gateway::new(store.clone(), client, reach.keys.clone(), reach.directory.clone()))
}

/// Where nobody is asked for a key, only whoever is on this machine may look.
fn console(config: &Config, parts: &Parts, lasting: &Lasting, store: &Store) -> Option<Arc<Console>> {
    let address = config.http.admin_listen?;
    if config.callers.is_empty() && !address.ip().is_loopback() {
        return None;
    }
    let tokens = |secrets: &[SecretString]| Tokens::new(secrets, &config.namespace, parts.clock.clone());
    let tokens = tokens(&config.tokens.secrets).or_else(|| tokens(&lasting.sessions))?;
    let series = lasting.series.clone();
    let console = Arc::new(Console { tokens, settings: parts.settings.clone(), series: series.clone() });
    let (store, stop) = (store.clone(), parts.lifecycle.stop_handle());
    parts.lifecycle.spawn("console", async move {
        series.run(store, stop).await;
        Ok::<(), Infallible>(())
    });
    Some(console)
}
