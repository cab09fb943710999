//! Metrics for Prometheus: the table of all there are, and the one recorder of the process.
//!
//! Labels come from closed sets; ids never become labels.

use std::sync::{Mutex, OnceLock, PoisonError};

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Every metric of this version.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    Metric { name: "omni_relay_prompts_accepted_total", kind: Kind::Counter, unit: Unit::Count, labels: &["via"], help: "prompts accepted, by the way they came: http or stream" },
    Metric { name: "omni_relay_prompts_shed_total", kind: Kind::Counter, unit: Unit::Count, labels: &["via", "limit"], help: "prompts turned away because the backlog is full, by the way they came and whose limit it was: tenant or all" },
    Metric { name: "omni_relay_backlog_prompts", kind: Kind::Gauge, unit: Unit::Count, labels: &[], help: "prompts accepted and neither ended nor dead, of all replicas" },
    Metric { name: "omni_relay_backlog_bytes", kind: Kind::Gauge, unit: Unit::Bytes, labels: &[], help: "size of their requests and metadata" },
    Metric { name: "omni_relay_decisions_total", kind: Kind::Counter, unit: Unit::Count, labels: &["action", "outcome"], help: "what people decided: cancel, replay, discard, by what came of it" },
    Metric { name: "omni_relay_stage_outcomes_total", kind: Kind::Counter, unit: Unit::Count, labels: &["stage", "outcome"], help: "handlings of a stage's entries, by how they ended" },
    Metric { name: "omni_relay_stage_duration_seconds", kind: Kind::Histogram, unit: Unit::Seconds, labels: &["stage"], help: "how long one handling took" },
    Metric { name: "omni_relay_stage_lag_entries", kind: Kind::Gauge, unit: Unit::Count, labels: &["stage"], help: "entries of a stage's stream that no worker has read, of all replicas" },
    Metric { name: "omni_relay_stage_oldest_age_seconds", kind: Kind::Gauge, unit: Unit::Seconds, labels: &["stage"], help: "age of the oldest entry of a stage's stream, read or not; 0 while there is none" },
    Metric { name: "omni_relay_webhooks_total", kind: Kind::Counter, unit: Unit::Count, labels: &["outcome"], help: "webhooks received, by what became of them" },
    Metric { name: "omni_relay_webhooks_expected", kind: Kind::Gauge, unit: Unit::Count, labels: &[], help: "1 where jobs are created with webhook.public_url, 0 where they are polled; of processes that create them" },
    Metric { name: "omni_relay_webhook_to_entry_seconds", kind: Kind::Histogram, unit: Unit::Seconds, labels: &[], help: "from the arrival of a webhook to the terminal entry it led to" },
    Metric { name: "omni_relay_accepted_to_entry_seconds", kind: Kind::Histogram, unit: Unit::Seconds, labels: &["type"], help: "from the acceptance of a prompt to its terminal entry, by that entry's type" },
    Metric { name: "omni_relay_entries_published_total", kind: Kind::Counter, unit: Unit::Count, labels: &["type"], help: "entries written to conversation streams" },
    Metric { name: "omni_relay_omni_requests_total", kind: Kind::Counter, unit: Unit::Count, labels: &["operation", "status"], help: "requests to Omni, by what they asked and the HTTP status or kind of failure" },
    Metric { name: "omni_relay_omni_request_duration_seconds", kind: Kind::Histogram, unit: Unit::Seconds, labels: &["operation"], help: "how long a request to Omni took, body included; of mcp until its answer began" },
    Metric { name: "omni_relay_redis_up", kind: Kind::Gauge, unit: Unit::Count, labels: &[], help: "1 while Redis answers, else 0" },
    Metric { name: "omni_relay_redis_duration_seconds", kind: Kind::Histogram, unit: Unit::Seconds, labels: &[], help: "how long an answered command or script took, on the way and in redis; blocking reads are left out" },
    Metric { name: "omni_relay_dead_letters_total", kind: Kind::Counter, unit: Unit::Count, labels: &["stage", "reason"], help: "prompts and entries that became dead letters" },
    Metric { name: "omni_relay_dead_letters_open", kind: Kind::Gauge, unit: Unit::Count, labels: &[], help: "dead letters that wait for a decision, of all replicas" },
    Metric { name: "omni_relay_dead_letter_oldest_age_seconds", kind: Kind::Gauge, unit: Unit::Seconds, labels: &[], help: "since the last death of the one that died first; 0 while there is none" },
    Metric { name: "omni_relay_reconciled_total", kind: Kind::Counter, unit: Unit::Count, labels: &["outcome"], help: "looks at prompts that were quiet too long, by what came of them; found: an answer that no webhook brought" },
    Metric { name: "omni_relay_budget_total", kind: Kind::Counter, unit: Unit::Count, labels: &["errand", "outcome"], help: "requests to omni that the budget was asked for, and what it said" },
    Metric { name: "omni_relay_budget_used_requests", kind: Kind::Gauge, unit: Unit::Count, labels: &["key"], help: "requests of a key's window that are used, or promised to jobs that were created in it, of all replicas; keys are named 1 to n, in the order of omni.api_keys" },
    Metric { name: "omni_relay_budget_limit_requests", kind: Kind::Gauge, unit: Unit::Count, labels: &["key"], help: "requests that a key's window has: omni.requests_per_minute" },
    Metric { name: "omni_relay_omni_keys_refused", kind: Kind::Gauge, unit: Unit::Count, labels: &[], help: "api keys that omni refuses, as this process knows" },
    Metric { name: "omni_relay_paused", kind: Kind::Gauge, unit: Unit::Count, labels: &["stage"], help: "1 while this process begins nothing new in a stage, because it is paused or the process drains, else 0" },
    Metric { name: "omni_relay_reloads_total", kind: Kind::Counter, unit: Unit::Count, labels: &["outcome"], help: "configurations that were read again: taken, or refused because something in them was wrong or takes a restart" },
    Metric { name: "omni_relay_sse_readers", kind: Kind::Gauge, unit: Unit::Count, labels: &[], help: "readers of server-sent events that this process serves" },
];

/// A counter with the values of its labels.
type Series = (&'static str, &'static [(&'static str, &'static str)]);

/// What is watched for growth: there from zero on, or nobody would see the first of what it counts.
const WATCHED: [Series; 11] = [
    ("omni_relay_webhooks_total", &[("outcome", "missing")]),
    ("omni_relay_webhooks_total", &[("outcome", "malformed")]),
    ("omni_relay_webhooks_total", &[("outcome", "stale")]),
    ("omni_relay_webhooks_total", &[("outcome", "future")]),
    ("omni_relay_webhooks_total", &[("outcome", "mismatch")]),
    ("omni_relay_webhooks_total", &[("outcome", "too_large")]),
    ("omni_relay_prompts_shed_total", &[("via", "http"), ("limit", "tenant")]),
    ("omni_relay_prompts_shed_total", &[("via", "http"), ("limit", "all")]),
    ("omni_relay_prompts_shed_total", &[("via", "stream"), ("limit", "tenant")]),
    ("omni_relay_reloads_total", &[("outcome", "taken")]),
    ("omni_relay_reloads_total", &[("outcome", "refused")]),
];

/// From a script in Redis to a long answer of Omni, in seconds.
const BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// From an answer at once to one after the longest jobs.
const LONG: &[f64] = &[1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

#[derive(Debug, Error)]
pub enum MetricsError {
    #[error("set up the metrics recorder")]
    Build(#[from] BuildError),
}

/// The recorder of the process. Clones are the same.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder, or returns the one this function installed before: a process has one.
    pub fn install() -> Result<Self, MetricsError> {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = INSTALLED.get() {
            return Ok(metrics.clone());
        }
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?
            .set_buckets_for_metric(Matcher::Full("omni_relay_accepted_to_entry_seconds".to_owned()), LONG)?
            .install_recorder()?;
        METRICS.iter().for_each(describe);
        for (name, labels) in WATCHED {
            counter!(name, labels.iter().map(Label::from).collect::<Vec<_>>()).increment(0);
        }
        Ok(INSTALLED.get_or_init(|| Self { handle }).clone())
    }

    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// To be called every few seconds: without it samples that nobody scrapes pile up.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn describe(metric: &Metric) {
    match metric.kind {
        Kind::Counter => describe_counter!(metric.name, metric.unit, metric.help),
        Kind::Gauge => describe_gauge!(metric.name, metric.unit, metric.help),
        Kind::Histogram => describe_histogram!(metric.name, metric.unit, metric.help),
    }
}

#[cfg(test)]
mod tests {
    use metrics::{gauge, histogram};

    use super::*;

    #[test]
    fn what_is_recorded_is_rendered_with_buckets_and_help() {
        let metrics = Metrics::install().unwrap();
        Metrics::install().expect("a second installation is the first one");
        counter!("omni_relay_stage_outcomes_total", "stage" => "metrics-test", "outcome" => "done").increment(2);
        gauge!("omni_relay_redis_up").set(1.0);
        histogram!("omni_relay_stage_duration_seconds", "stage" => "metrics-test").record(0.003);
        metrics.upkeep();
        let text = metrics.render();
        for expected in [
            "# HELP omni_relay_stage_outcomes_total handlings of a stage's entries",
            "# TYPE omni_relay_stage_outcomes_total counter",
            r#"omni_relay_stage_outcomes_total{stage="metrics-test",outcome="done"} 2"#,
            "omni_relay_redis_up 1",
            r#"omni_relay_webhooks_total{outcome="mismatch"} "#,
            r#"omni_relay_stage_duration_seconds_bucket{stage="metrics-test",le="0.0025"} 0"#,
            r#"omni_relay_stage_duration_seconds_bucket{stage="metrics-test",le="0.005"} 1"#,
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }

    #[test]
    fn names_say_what_they_are() {
        for metric in METRICS {
            let suffix = match metric.kind {
                Kind::Counter => "_total",
                Kind::Histogram => "_seconds",
                Kind::Gauge => "",
            };
            assert!(metric.name.starts_with("omni_relay_") && metric.name.ends_with(suffix), "{}", metric.name);
            assert!(metric.labels.iter().all(|label| !label.ends_with("id")), "{} labels an id", metric.name);
        }
    }
}
