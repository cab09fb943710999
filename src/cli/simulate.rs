//! `simulate`: an Omni of our own, to try the relay against.

use std::io::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::{runtime, server, values};
use crate::runtime::Lifecycle;
use crate::simulator::{Options, Simulator};

/// Runs a simulated Omni until SIGTERM or SIGINT: any API key will do, nothing is kept
#[derive(Args)]
pub(super) struct Simulate {
    /// Where it answers; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// Requests that one key may send in a minute; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 60)]
    requests_per_minute: u32,
    /// How long a job runs, as in 2s or 1s..4s
    #[arg(long, value_name = "DURATION", default_value = "1s..4s", value_parser = values::durations)]
    duration: RangeInclusive<Duration>,
    /// How long a request is on its way, as in 20ms or 10ms..400ms
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = values::durations)]
    latency: RangeInclusive<Duration>,
    /// Do not print a line for each request and each webhook
    #[arg(long, short)]
    quiet: bool,
}

impl Simulate {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        runtime::block_on(1, self.simulate())
    }

    async fn simulate(self) -> anyhow::Result<ExitCode> {
        let options = Options {
            listen: self.listen,
            requests_per_minute: self.requests_per_minute,
            duration: self.duration,
            latency: self.latency,
            log: !self.quiet,
            ..Options::default()
        };
        let simulator =
            Simulator::start(options).await.with_context(|| format!("failed to listen on {}", self.listen))?;
        let outcome = server::run_until_signal(&Lifecycle::new(), Duration::ZERO, None, || {
            // Nobody has to look on.
            let _ = writeln!(std::io::stdout(), "simulated Omni on {}", simulator.url());
        })
        .await?;
        simulator.stop().await;
        Ok(outcome.exit_code())
    }
}
