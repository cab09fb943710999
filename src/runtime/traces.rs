//! Spans for a collector, where one is configured: one trace for each prompt, from its intake to its readers.
//!
//! A span has a name from a closed set and the id of its prompt at most: no words of a customer, of Omni's or of an error.
//! Without a collector nothing is made, and a prompt's trace context passes through as its caller gave it.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::trace::{FutureExt, SpanBuilder, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use thiserror::Error;
use url::Url;

use super::TraceContext;

pub use opentelemetry::trace::SpanKind;

const NAME: &str = "omni-relay";
/// Where collectors take traces, on an address without a path.
const PATH: &str = "/v1/traces";

static ON: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Error)]
pub enum TracesError {
    #[error("set up the exporter of traces")]
    Exporter(#[from] ExporterBuildError),
}

/// The exporter of the process.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Sends spans to this collector (OTLP over HTTP) from now on. Spans leave on a thread of their own; what it cannot get
    /// rid of is dropped, and nobody waits for it.
    pub fn start(endpoint: &Url) -> Result<Self, TracesError> {
        let mut endpoint = endpoint.clone();
        if endpoint.path() == "/" {
            endpoint.set_path(PATH);
        }
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint.as_str()).build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name(NAME).with_attribute(version).build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        global::set_tracer_provider(provider.clone());
        ON.store(true, Ordering::Relaxed);
        Ok(Self { provider })
    }

    /// Sends what is left. Not to be called where others wait.
    pub fn stop(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(error = %error, "spans were left behind");
        }
    }
}

/// Does `work` in a span below `parent`; without one, below the span it is in, or as the first of a trace.
pub async fn within<T>(
    name: &'static str,
    kind: SpanKind,
    parent: Option<TraceContext>,
    work: impl Future<Output = T>,
) -> T {
    if !ON.load(Ordering::Relaxed) {
        return work.await;
    }
    let parent = parent.map_or_else(Context::current, |parent| Context::new().with_remote_span_context(parent.into()));
    let span = global::tracer(NAME).build_with_context(SpanBuilder::from_name(name).with_kind(kind), &parent);
    Box::pin(work.with_context(parent.with_span(span))).await
}

/// A span below `parent` for what is done by now.
pub fn mark(name: &'static str, kind: SpanKind, parent: TraceContext) {
    if ON.load(Ordering::Relaxed) {
        let parent = Context::new().with_remote_span_context(parent.into());
        drop(global::tracer(NAME).build_with_context(SpanBuilder::from_name(name).with_kind(kind), &parent));
    }
}

/// The span that this is done in.
pub fn current() -> Option<TraceContext> {
    if !ON.load(Ordering::Relaxed) {
        return None;
    }
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| TraceContext::from(span))
}

/// Names the prompt that the current span is about.
pub fn about(prompt: impl std::fmt::Display) {
    if ON.load(Ordering::Relaxed) {
        Context::current().span().set_attribute(KeyValue::new("prompt.id", prompt.to_string()));
    }
}
