//! Composition: a configuration and parts become services and stages, each built once.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use secrecy::{ExposeSecret, SecretString};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::config::{Callers, Config, Origin, UserCreation};
use crate::http::{self, Console, Feeds, Series, Services, Tokens};
use crate::model::Backoff;
use crate::model::prompt::Defaults;
use crate::omni::signature::Verifier;
use crate::omni::{ApiKey, McpClient, Omni, OmniOptions, WebhookVerifier};
use crate::pipeline::intake::Tenants;
use crate::pipeline::reconcile::{self, Pace, Tuning};
use crate::pipeline::submit::WebhookTarget;
use crate::pipeline::switch::Gate;
use crate::pipeline::{
    Canceller, Charts, DeadLetters, Directory, Doctor, Explainer, Gateway, Intake, IntakeStage, KeyRing, Limits,
    Pauses, Process, Rater, Receiver, Reconciler, Runs, Submitter, Switch, Worker, due, runs, switch,
};
use crate::runtime::readiness::Handle;
use crate::runtime::{Clock, Lifecycle, Metrics, Readiness, hasten};
use crate::store::backlog::Limit;
use crate::store::budget::Quota;
use crate::store::connection::Redis;
use crate::store::delivery::Stream;
use crate::store::wake::Wake;
use crate::store::{Policy, Store, health};

/// Prompts that may stand unread before others wait for their turn: whoever is free reads the first one at once, and while
/// nobody is, turns count.
const UNREAD: usize = 1;
/// Prompts in submission at once.
const SUBMIT_HANDLERS: usize = 16;
/// Events in processing at once.
const PROCESS_HANDLERS: usize = 64;
/// Longest call of Omni.
const OMNI_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time until an answer for an agent begins.
const MCP_PATIENCE: Duration = Duration::from_mins(2);
/// In which Omni's requests are granted: a second longer than its own minute, as they do not take equally long to arrive.
const BUDGET_WINDOW: Duration = Duration::from_secs(61);

/// Whether a client is still there that says nothing, and to whom nothing is said: it is gone two minutes after it vanished.
const ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15)).with_retries(4);

/// What a process brings along.
pub struct Parts {
    /// Time.
    pub clock: Clock,
    /// Owns every task.
    pub lifecycle: Lifecycle,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// The short waits for a result that is not there yet: how many, how long.
    pub patience: (u32, Duration),
    /// When quiet prompts are looked at.
    pub tuning: Tuning,
    /// In which Omni grants its requests.
    pub budget_window: Duration,
    /// The settings in force, as [`Loaded::show`](crate::config::Loaded::show) has them.
    pub settings: Vec<(String, String, Origin)>,
}

impl Parts {
    /// As `serve` runs.
    pub fn new(lifecycle: Lifecycle, metrics: Metrics) -> Self {
        let patience = (8, hasten(Duration::from_secs(1)));
        let (tuning, budget_window) = (Tuning::default(), hasten(BUDGET_WINDOW));
        Self { clock: Clock::system(), lifecycle, metrics, patience, tuning, budget_window, settings: Vec::new() }
    }
}

/// A running relay. Its tasks belong to the lifecycle it was given.
pub struct App {
    /// Where `/v1`, webhooks and probes answer.
    pub address: SocketAddr,
    /// Where `/metrics` answers.
    pub admin_address: Option<SocketAddr>,
    /// The store, for those who look inside.
    pub store: Store,
}

impl App {
    /// Binds, then starts every stage. Redis need not be there yet: until it is, the relay is not ready.
    pub async fn start(config: &Config, parts: Parts) -> anyhow::Result<Self> {
        let redis = Redis::new(config.redis.url.expose_secret()).context("failed to use redis.url")?;
        let redis = redis.with_replicas(config.durability.replicas);
        let policy = Policy {
            retention: config.retention,
            answers_age: config.answers.max_age,
            answers_len: config.answers.max_len,
            window: UNREAD,
            backlog: backlog(config),
        };
        let store = Store::new(redis, &config.namespace, policy);
        let pace = pace(config, parts.tuning);
        let readiness = Readiness::new();
        let wake = Wake::default();
        let intake = Intake::new(
            store.clone(),
            parts.clock.clone(),
            Defaults {
                model_id: config.omni.model_id,
                run_as_key_owner: config.omni.run_as_key_owner,
                ..Defaults::default()
            },
            config.omni.adopt_conversations,
            pace.first_check(),
        );
        let redis = readiness.register("redis");
        let reach = reach(config, &store, parts.budget_window, config.users.create, readiness.register("omni"))?;
        let dead_letters = DeadLetters::new(store.clone(), parts.clock.clone(), config.reconcile.after);
        let many = Runs::new(store.clone(), dead_letters.clone(), parts.clock.clone());
        let charts = Charts::new(store.clone(), reach.omni.clone(), reach.keys.clone());
        let switch = Switch::default();
        let services = Services {
            store: store.clone(),
            intake: intake.clone(),
            receiver: Receiver::new(store.clone(), parts.clock.clone()),
            canceller: Canceller::new(store.clone(), parts.clock.clone(), config.reconcile.after),
            charts: config.results.charts.then_some(charts),
            rater: Rater::new(reach.omni.clone(), reach.keys.clone()),
            dead_letters,
            runs: many.clone(),
            switch: switch.clone(),
            pauses: pauses(config, &store, &parts.clock),
            explainer: reach.explainer(&store, pace, &parts.clock),
            doctor: reach.doctor(config, &store, &parts.clock),
            keys: reach.keys.clone(),
            gateway: gateway(config, &store, &reach)?,
            wake: wake.clone(),
            feeds: Arc::new(Feeds::new(store.clone(), wake.clone(), parts.lifecycle.clone())),
            callers: Arc::new(config.callers.clone()),
            tokens: Tokens::new(&config.tokens.secrets, &config.namespace, parts.clock.clone()).map(Arc::new),
            console: console(config, &parts, &store),
            cors_origins: config.http.cors_origins.clone().into(),
            attempts: Arc::default(),
            verifier: verifier(config, &parts.clock),
            readiness: readiness.clone(),
            metrics: parts.metrics.clone(),
            clock: parts.clock.clone(),
            stop: parts.lifecycle.stop_handle(),
        };
        let (address, admin_address) = listen(config, services, &parts.lifecycle).await?;
        let stop = parts.lifecycle.stop_handle();
        parts.lifecycle.spawn("health", health::run(store.clone(), parts.clock.clone(), redis, wake, stop.clone()));
        parts.lifecycle.spawn("due", due::run(store.clone(), parts.clock.clone(), stop));
        parts.lifecycle.spawn("runs", runs::run(many, parts.lifecycle.clone()));
        let operator = readiness.register("operator");
        parts
            .lifecycle
            .spawn("pauses", switch::run(store.clone(), switch.clone(), operator, parts.lifecycle.stop_handle()));
        let gate = |stream: Stream| switch.gate(stream, readiness.register(stream.stage()));
        let gates = [Stream::Intake, Stream::Prompts, Stream::Inbox].map(gate);
        stages(config, &parts, &store, pace, intake, reach, gates);
        Ok(Self { address, admin_address, store })
    }
}

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
    let handle = Readiness::new().register("omni");
    reach(config, store, hasten(BUDGET_WINDOW), UserCreation::Never, handle)
}

/// Omni, the keys to it, and whom it knows.
struct Reach {
    omni: Arc<Omni>,
    keys: Arc<KeyRing>,
    directory: Directory,
}

impl Reach {
    fn explainer(&self, store: &Store, pace: Pace, clock: &Clock) -> Explainer {
        Explainer::new(store.clone(), self.keys.clone(), pace, clock.clone())
    }

    fn doctor(&self, config: &Config, store: &Store, clock: &Clock) -> Doctor {
        Doctor {
            store: store.clone(),
            omni: self.omni.clone(),
            keys: self.keys.clone(),
            clock: clock.clone(),
            warnings: config.warnings().to_vec(),
            has_model: config.omni.model_id.is_some(),
            webhook: config.webhook.public_url.clone().zip(config.webhook.secrets.first().cloned()),
            claim_after: config.pipeline.claim_after,
            backlog: backlog(config),
        }
    }
}

fn reach(
    config: &Config,
    store: &Store,
    window: Duration,
    create: UserCreation,
    handle: Handle,
) -> anyhow::Result<Reach> {
    let options = OmniOptions {
        base_url: config.omni.base_url.clone(),
        timeout: hasten(OMNI_TIMEOUT),
        result_max_bytes: config.results.max,
    };
    let omni = Omni::new(options).context("failed to use omni.base_url")?;
    let keys: Result<Vec<ApiKey>, _> = config.omni.api_keys.iter().map(ApiKey::new).collect();
    let keys = keys.context("failed to use omni.api_keys")?;
    let owed = if config.webhook.public_url.is_some() { 1 } else { 2 };
    let quota = Quota { limit: config.omni.requests_per_minute, window, owed };
    let keys = KeyRing::new(store.clone(), keys, quota, handle).context("omni.api_keys is empty")?;
    let (omni, keys) = (Arc::new(omni), Arc::new(keys));
    let directory = Directory::new(store.clone(), omni.clone(), keys.clone(), create);
    Ok(Reach { omni, keys, directory })
}

fn gateway(config: &Config, store: &Store, reach: &Reach) -> anyhow::Result<Gateway> {
    let client = McpClient::new(&config.omni.base_url, hasten(MCP_PATIENCE)).context("failed to use omni.base_url")?;
    Ok(Gateway::new(store.clone(), client, reach.keys.clone(), reach.directory.clone()))
}

fn stages(config: &Config, parts: &Parts, store: &Store, pace: Pace, intake: Intake, reach: Reach, gates: [Gate; 3]) {
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

fn backlog(config: &Config) -> Limit {
    let backlog = config.backlog;
    let bytes = u64::try_from(backlog.bytes).unwrap_or(u64::MAX);
    Limit { prompts: backlog.prompts, bytes, tenant_share: backlog.tenant_share }
}

/// Without an address for webhooks no job has one: all are polled.
fn pace(config: &Config, tuning: Tuning) -> Pace {
    let after = config.webhook.public_url.as_ref().map(|_| config.reconcile.after);
    Pace { after, deadline: config.jobs.deadline, max_wait: config.jobs.max_wait, tuning }
}

/// Where nobody is asked for a key, only whoever is on this machine may look.
fn console(config: &Config, parts: &Parts, store: &Store) -> Option<Arc<Console>> {
    let address = config.http.admin_listen?;
    if config.callers.is_empty() && !address.ip().is_loopback() {
        return None;
    }
    let tokens = |secrets: &[SecretString]| Tokens::new(secrets, &config.namespace, parts.clock.clone());
    // Sessions then end with the process, and are good here alone.
    let own = || tokens(&[format!("{}{}", Uuid::new_v4(), Uuid::new_v4()).into()]);
    let tokens = tokens(&config.tokens.secrets).or_else(own)?;
    let console = Arc::new(Console { tokens, settings: parts.settings.clone(), series: Series::default() });
    let (looking, store, stop) = (console.clone(), store.clone(), parts.lifecycle.stop_handle());
    parts.lifecycle.spawn("console", async move {
        looking.series.run(store, stop).await;
        Ok::<(), Infallible>(())
    });
    Some(console)
}

/// The public listener, and the admin one where it has an address of its own.
async fn listen(
    config: &Config,
    services: Services,
    lifecycle: &Lifecycle,
) -> anyhow::Result<(SocketAddr, Option<SocketAddr>)> {
    let same = config.http.admin_listen == Some(config.http.listen);
    let mut public = http::public(services.clone());
    if same {
        public = public.merge(http::admin(services.clone()));
    }
    let address = serve("http", config.http.listen, public, lifecycle).await?;
    let admin_address = match config.http.admin_listen {
        Some(_) if same => Some(address),
        Some(admin) => Some(serve("admin", admin, http::admin(services), lifecycle).await?),
        None => None,
    };
    Ok((address, admin_address))
}

async fn serve(
    name: &'static str,
    address: SocketAddr,
    router: axum::Router,
    lifecycle: &Lifecycle,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    let bound = listener.local_addr()?;
    let stop = lifecycle.stop_handle();
    let listener = listener.tap_io(|stream| {
        // Answers are small and wanted at once; a socket that refuses an option works without it.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&*stream).set_tcp_keepalive(&ALIVE);
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    lifecycle.spawn(name, async move {
        axum::serve(listener, service).with_graceful_shutdown(async move { stop.requested().await }).await
    });
    Ok(bound)
}

fn verifier(config: &Config, clock: &Clock) -> Arc<WebhookVerifier> {
    let clock = clock.clone();
    let verifier = Verifier::new(&config.webhook.secrets, config.webhook.tolerance);
    Arc::new(WebhookVerifier::new(verifier, Arc::new(move || clock.now_ms())))
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
