//! `serve`: the relay itself.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use secrecy::SecretString;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::{dirs, runtime, server};
use crate::app::{App, Parts};
use crate::config::{Config, ConfigError, Loaded, LogFormat, Sources};
use crate::runtime::logs::{self, LogStyle, Logs};
use crate::runtime::traces::Traces;
use crate::runtime::{Lifecycle, Metrics, Stop};
use crate::store::embedded::Embedded;

/// How long work may take to finish after a signal; schedulers should wait a little longer.
const GRACE: Duration = Duration::from_secs(25);
const UPKEEP: Duration = Duration::from_secs(5);

/// Runs the relay until SIGTERM or SIGINT; a second signal drops what still runs; SIGHUP reads the configuration again
#[derive(Args)]
pub(super) struct Serve {
    /// Run a private Redis beside the relay, not the one that is configured
    #[arg(long)]
    redis: Option<Private>,
    /// What this process does: one or more of receive, submit, process, api; goes before the setting `roles`
    #[arg(long, value_name = "ROLES")]
    roles: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Private {
    /// redis-server or valkey-server as a child, its data in the state directory of the user
    Embedded,
}

impl Serve {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let place = Place { file, roles: self.roles.clone() };
        let loaded = place.clone().load()?;
        let config = &loaded.config;
        let style = match config.log.format {
            LogFormat::Json => LogStyle::Json,
            LogFormat::Pretty => LogStyle::Pretty,
        };
        let logs = logs::init(&config.log.level, style)?;
        warn(config);
        // Its client must be made, and let go, where nothing else is waited for.
        let traces = config.telemetry.otlp_endpoint.as_ref().map(Traces::start).transpose()?;
        let ended = runtime::block_on(config.runtime.workers, self.serve(place, loaded, logs));
        if let Some(traces) = traces {
            traces.stop();
        }
        ended
    }

    async fn serve(self, place: Place, mut loaded: Loaded, logs: Logs) -> anyhow::Result<ExitCode> {
        // Before anything takes its time: who hears no signal ends by it.
        let hangups = signal(SignalKind::hangup())?;
        let embedded = match self.redis {
            Some(Private::Embedded) => Some(server::start(dirs::state("redis")?).await?),
            None => None,
        };
        let redis = embedded.as_ref().map(Embedded::url);
        if let Some(url) = &redis {
            loaded.config.redis.url = SecretString::from(url.as_str());
        }
        let lifecycle = Lifecycle::new();
        let metrics = Metrics::install()?;
        lifecycle.spawn("upkeep", upkeep(metrics.clone(), lifecycle.stop_handle()));
        let parts = Parts { settings: loaded.show(), ..Parts::new(lifecycle.clone(), metrics) };
        let app = App::start(&loaded.config, parts).await?;
        let (http, admin) = (app.address, app.admin_address);
        let reloader = Reloader { app, place, redis, logs };
        lifecycle.spawn("reload", reloader.run(hangups, lifecycle.stop_handle()));
        let outcome = server::run_until_signal(&lifecycle, GRACE, embedded, || {
            let admin = admin.map(tracing::field::display);
            let roles = loaded.config.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",");
            let (version, namespace) = (env!("CARGO_PKG_VERSION"), &loaded.config.namespace);
            info!(version, %http, admin, namespace, roles, "listening");
        })
        .await?;
        info!(?outcome, "stopped");
        Ok(outcome.exit_code())
    }
}

/// Where the configuration is read, each time.
#[derive(Clone)]
struct Place {
    file: Option<PathBuf>,
    roles: Option<String>,
}

impl Place {
    fn load(self) -> Result<Loaded, ConfigError> {
        Config::load(Sources { roles: self.roles, ..Sources::from_process(self.file)? })
    }
}

fn warn(config: &Config) {
    for warning in config.warnings() {
        warn!("{warning}");
    }
}

/// Puts the configuration into force again at SIGHUP. Signals that come meanwhile are one more.
struct Reloader {
    app: App,
    place: Place,
    /// The embedded server.
    redis: Option<String>,
    logs: Logs,
}

impl Reloader {
    async fn run(self, mut hangups: Signal, stop: Stop) -> Result<(), Infallible> {
        loop {
            tokio::select! {
                Some(()) = hangups.recv() => {}
                () = stop.requested() => return Ok(()),
            }
            let outcome = match self.reload().await {
                Ok(()) => {
                    info!("configuration reloaded");
                    "taken"
                }
                Err(why) => {
                    error!(why = format!("{why:#}"), "reload refused: nothing has changed");
                    "refused"
                }
            };
            metrics::counter!("omni_relay_reloads_total", "outcome" => outcome).increment(1);
        }
    }

    async fn reload(&self) -> anyhow::Result<()> {
        let place = self.place.clone();
        // A secret may stand in a file that is far away.
        let loaded = spawn_blocking(|| place.load()).await.context("failed to read the configuration")?;
        let loaded = loaded.map_err(|error| anyhow!(problems(&error)))?;
        let (settings, mut config) = (loaded.show(), loaded.config);
        if let Some(url) = &self.redis {
            config.redis.url = SecretString::from(url.as_str());
        }
        self.app.reload(config.clone(), settings, GRACE)?;
        warn(&config);
        Ok(self.logs.filter(&config.log.level)?)
    }
}

/// All of them in one line.
fn problems(error: &ConfigError) -> String {
    error.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

async fn upkeep(metrics: Metrics, stop: Stop) -> Result<(), Infallible> {
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = tokio::time::sleep(UPKEEP) => metrics.upkeep(),
        }
    }
}
