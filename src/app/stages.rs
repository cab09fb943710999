//! The stages, and the tasks that go with them.

use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::reach::Reach;
use super::relay::Parts;
use crate::config::{Callers, Config};
use crate::model::Backoff;
use crate::pipeline::intake::Tenants;
use crate::pipeline::reconcile::{self, Pace};
use crate::pipeline::submit::WebhookTarget;
use crate::pipeline::switch::Gate;
use crate::pipeline::{Intake, IntakeStage, Limits, Process, Reconciler, Submitter, Worker};
use crate::store::Store;

/// Prompts in submission at once.
const SUBMIT_HANDLERS: usize = 16;
/// Events in processing at once.
const PROCESS_HANDLERS: usize = 64;

pub(super) fn stages(
    config: &Config,
    parts: &Parts,
    store: &Store,
    pace: Pace,
    intake: Intake,
    reach: Reach,
    gates: [Gate; 3],
) {
    let [intake_gate, submit_gate, process_gate] = gates;
    let Reach { omni, keys, directory } = reach;
    let limits = |handlers| Limits {
        handlers,
        claim_after: config.pipeline.claim_after,
        max_wait: config.jobs.max_wait,
        backoff: Backoff { base: config.retry.base, cap: config.retry.cap, attempts: config.retry.attempts },
    };
    let webhook = config.webhook.public_url.as_ref().zip(config.webhook.secrets.first());
    let submitter = Submitter {
        store: store.clone(),
        omni: omni.clone(),
        keys: keys.clone(),
        directory: directory.clone(),
        clock: parts.clock.clone(),
        webhook: webhook.map(|(url, secret)| WebhookTarget { url: url.to_string(), secret: secret.clone() }),
        pace,
        weight: weights(&config.callers),
        switch: submit_gate.switch().clone(),
        short: Mutex::default(),
    };
    let reconciler = Reconciler {
        store: store.clone(),
        omni: omni.clone(),
        keys: keys.clone(),
        directory,
        clock: parts.clock.clone(),
        pace,
        switch: submit_gate.switch().clone(),
    };
    parts.lifecycle.spawn("budget", keys.clone().watch(parts.lifecycle.stop_handle()));
    parts.lifecycle.spawn("reconcile", reconcile::run(reconciler, parts.lifecycle.stop_handle()));
    let process = Process {
        store: store.clone(),
        omni,
        keys,
        clock: parts.clock.clone(),
        inline_max: config.results.inline_max,
        patience: parts.patience,
    };
    let intake = IntakeStage::new(intake, tenants(&config.callers));
    let consumer = format!("relay-{}", Uuid::new_v4().simple());
    let (clock, lifecycle) = (&parts.clock, &parts.lifecycle);
    let run = |handlers| (store.clone(), clock.clone(), limits(handlers));
    let (store, clock, one) = run(1);
    let intake = Worker::new(Arc::new(intake), store, clock, one, intake_gate, lifecycle, &consumer);
    lifecycle.spawn("intake", intake.run());
    let (store, clock, some) = run(SUBMIT_HANDLERS);
    let submit = Worker::new(Arc::new(submitter), store, clock, some, submit_gate, lifecycle, &consumer);
    lifecycle.spawn("submit", submit.run());
    let (store, clock, many) = run(PROCESS_HANDLERS);
    let process = Worker::new(Arc::new(process), store, clock, many, process_gate, lifecycle, &consumer);
    lifecycle.spawn("process", process.run());
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
