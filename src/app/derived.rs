//! What follows from several settings at once.

use std::sync::Arc;

use crate::config::{Config, OmniConfig};
use crate::model::prompt::Defaults;
use crate::omni::WebhookVerifier;
use crate::omni::signature::Verifier;
use crate::pipeline::Intake;
use crate::pipeline::reconcile::{Pace, Tuning};
use crate::runtime::Clock;
use crate::store::Store;
use crate::store::backlog::Limit;

pub(super) fn backlog(config: &Config) -> Limit {
    let backlog = config.backlog;
    let bytes = u64::try_from(backlog.bytes).unwrap_or(u64::MAX);
    Limit { prompts: backlog.prompts, bytes, tenant_share: backlog.tenant_share }
}

/// Without an address for webhooks no job has one: all are polled.
pub(super) fn pace(config: &Config, tuning: Tuning) -> Pace {
    let after = config.webhook.public_url.as_ref().map(|_| config.reconcile.after);
    Pace { after, deadline: config.jobs.deadline, max_wait: config.jobs.max_wait, tuning }
}

pub(super) fn verifier(config: &Config, clock: &Clock) -> Arc<WebhookVerifier> {
    let clock = clock.clone();
    let verifier = Verifier::new(&config.webhook.secrets, config.webhook.tolerance);
    Arc::new(WebhookVerifier::new(verifier, Arc::new(move || clock.now_ms())))
}

pub(super) fn intake(omni: &OmniConfig, store: &Store, clock: &Clock, pace: Pace) -> Intake {
    let defaults = Defaults { model_id: omni.model_id, run_as_key_owner: omni.run_as_key_owner, ..Defaults::default() };
    Intake::new(store.clone(), clock.clone(), defaults, omni.adopt_conversations, pace.first_check())
}
