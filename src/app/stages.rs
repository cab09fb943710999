//! The stages, and the tasks that go with them.

use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::parts::Parts;
use super::reach::Reach;
use crate::config::{Callers, Config, Role};
use crate::http::Own;
use crate::model::Backoff;
use crate::pipeline::intake::Tenants;
use crate::pipeline::reconcile::{self, Pace};
use crate::pipeline::stage::Stage;
use crate::pipeline::submit::WebhookTarget;
use crate::pipeline::{Intake, IntakeStage, Limits, Process, Reconciler, Submitter, Worker, due, switch};
use crate::store::{Store, gauges};

/// Prompts in submission at once.
const SUBMIT_HANDLERS: usize = 16;
/// Events in processing at once.
const PROCESS_HANDLERS: usize = 64;

/// Starts what the roles `submit` and `process` work on, and what whoever asks Omni looks at.
pub(super) fn stages(
    config: &Config,
    parts: &Parts,
    store: &Store,
    pace: Pace,
    reach: Reach,
    intake: Intake,
    own: &Own,
) {
    let Reach { omni, keys, directory } = reach;
    let stop = || parts.lifecycle.stop_handle();
    parts.lifecycle.spawn("budget", keys.clone().watch(stop()));
    parts.lifecycle.spawn("gauges", gauges::run(store.clone(), parts.clock.clone(), stop()));
    parts.lifecycle.spawn("pauses", switch::run(store.clone(), own.switch.clone(), stop()));
    let (submits, processes) = (config.roles.contains(&Role::Submit), config.roles.contains(&Role::Process));
    if submits || processes {
        parts.lifecycle.spawn("due", due::run(store.clone(), parts.clock.clone(), stop()));
    }
    let consumer = format!("relay-{}", Uuid::new_v4().simple());
    let workers = Workers { config, parts, store, own, consumer };
    if submits {
        workers.start(IntakeStage::new(intake, tenants(&config.callers)), 1);
        let webhook = config.webhook.public_url.as_ref().zip(config.webhook.secrets.first());
        metrics::gauge!("omni_relay_webhooks_expected").set(if webhook.is_some() { 1.0 } else { 0.0 });
        let submitter = Submitter {
            store: store.clone(),
            omni: omni.clone(),
            keys: keys.clone(),
            directory: directory.clone(),
            clock: parts.clock.clone(),
            webhook: webhook.map(|(url, secret)| WebhookTarget { url: url.to_string(), secret: secret.clone() }),
            pace,
            weight: weights(&config.callers),
            switch: own.switch.clone(),
            short: Mutex::default(),
            stop: stop(),
        };
        workers.start(submitter, SUBMIT_HANDLERS);
    }
    if processes {
        let reconciler = Reconciler {
            store: store.clone(),
            omni: omni.clone(),
            keys: keys.clone(),
            directory,
            clock: parts.clock.clone(),
            pace,
            switch: own.switch.clone(),
        };
        parts.lifecycle.spawn("reconcile", reconcile::run(reconciler, stop()));
        let process = Process {
            store: store.clone(),
            omni,
            keys,
            clock: parts.clock.clone(),
            inline_max: config.results.inline_max,
            patience: parts.patience,
            stop: stop(),
        };
        workers.start(process, PROCESS_HANDLERS);
    }
}

/// What every worker has in common.
struct Workers<'a> {
    config: &'a Config,
    parts: &'a Parts,
    store: &'a Store,
    own: &'a Own,
    consumer: String,
}

impl Workers<'_> {
    fn start<S: Stage>(&self, stage: S, handlers: usize) {
        let Config { pipeline, jobs, retry, .. } = self.config;
        let limits = Limits {
            handlers,
            claim_after: pipeline.claim_after,
            max_wait: jobs.max_wait,
            backoff: Backoff { base: retry.base, cap: retry.cap, attempts: retry.attempts },
        };
        let gate = self.own.switch.gate(S::STREAM, self.own.readiness.register(S::STREAM.stage()));
        let (store, clock) = (self.store.clone(), self.parts.clock.clone());
        let lifecycle = &self.parts.lifecycle;
        let worker = Worker::new(Arc::new(stage), store, clock, limits, gate, lifecycle, &self.consumer);
        lifecycle.spawn(S::STREAM.stage(), worker.run());
    }
}

fn tenants(callers: &Callers) -> Tenants {
    Tenants { known: callers.iter().map(|caller| caller.tenant.clone().unwrap_or_default()).collect() }
}

/// A tenant's weight is the largest of its callers'.
fn weights(callers: &Callers) -> Box<dyn Fn(&str) -> u32 + Send + Sync> {
    let mut weights = std::collections::HashMap::new();
    for caller in callers.iter() {
        let weight = weights.entry(caller.tenant.clone().unwrap_or_default()).or_insert(caller.weight);
        *weight = caller.weight.max(*weight);
    }
    Box::new(move |tenant| weights.get(tenant).copied().unwrap_or(1))
}
