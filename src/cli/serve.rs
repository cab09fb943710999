//! `serve`: the relay itself.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use tracing::{info, warn};

use super::{dirs, runtime, server};
use crate::app::{App, Parts};
use crate::config::{Config, LogFormat, Origin, Sources};
use crate::runtime::logs::{self, LogStyle};
use crate::runtime::traces::Traces;
use crate::runtime::{Lifecycle, Metrics, Stop};

/// How long work may take to finish after a signal; schedulers should wait a little longer.
const GRACE: Duration = Duration::from_secs(25);
const UPKEEP: Duration = Duration::from_secs(5);

/// Runs the relay until SIGTERM or SIGINT; a second signal drops what still runs
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
        let loaded = Config::load(Sources { roles: self.roles.clone(), ..Sources::from_process(file)? })?;
        let (settings, config) = (loaded.show(), loaded.config);
        let style = match config.log.format {
            LogFormat::Json => LogStyle::Json,
            LogFormat::Pretty => LogStyle::Pretty,
        };
        logs::init(&config.log.level, style)?;
        for warning in config.warnings() {
            warn!("{warning}");
        }
        // Its client must be made, and let go, where nothing else is waited for.
        let traces = config.telemetry.otlp_endpoint.as_ref().map(Traces::start).transpose()?;
        let ended = runtime::block_on(config.runtime.workers, self.serve(config, settings));
        if let Some(traces) = traces {
            traces.stop();
        }
        ended
    }

    async fn serve(self, mut config: Config, settings: Vec<(String, String, Origin)>) -> anyhow::Result<ExitCode> {
        let embedded = match self.redis {
            Some(Private::Embedded) => Some(server::start(dirs::state("redis")?).await?),
            None => None,
        };
        if let Some(server) = &embedded {
            config.redis.url = SecretString::from(server.url());
        }
        let lifecycle = Lifecycle::new();
        let metrics = Metrics::install()?;
        lifecycle.spawn("upkeep", upkeep(metrics.clone(), lifecycle.stop_handle()));
        let parts = Parts { settings, ..Parts::new(lifecycle.clone(), metrics) };
        let app = App::start(&config, parts).await?;
        let outcome = server::run_until_signal(&lifecycle, GRACE, embedded, || {
            let admin = app.admin_address.map(tracing::field::display);
            let roles = config.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",");
            let (version, namespace) = (env!("CARGO_PKG_VERSION"), &config.namespace);
            info!(version, http = %app.address, admin, namespace, roles, "listening");
        })
        .await?;
        info!(?outcome, "stopped");
        Ok(outcome.exit_code())
    }
}

async fn upkeep(metrics: Metrics, stop: Stop) -> Result<(), Infallible> {
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            () = tokio::time::sleep(UPKEEP) => metrics.upkeep(),
        }
    }
}
