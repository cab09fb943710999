//! Runs the parts, the script, and the check of what was seen.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout};

use super::super::runtime;
use super::super::show::{self, Style};
use super::parts::Parts;
use super::script::{FOLLOW_UP, QUESTION, Script};
use super::{check, parts};
use crate::runtime::logs::{self, LogStyle};

/// The exit code of whoever did not wait for the end.
const DROPPED: u8 = 3;
const GRACE: Duration = Duration::from_secs(10);
/// For both questions; they take seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// Shows it all in one terminal: a simulated Omni, the relay, a private Redis, a question and a follow-up
#[derive(Args)]
pub(in crate::cli) struct Demo {
    /// Check what was seen and end: 0 when all of it was right
    #[arg(long)]
    once: bool,
    /// A private Redis, or the URL of one that is there
    #[arg(long, value_name = "embedded|URL", default_value = "embedded")]
    redis: String,
    /// Where the relay answers; else at a free port of this machine
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

impl Demo {
    pub(in crate::cli) fn run(self) -> anyhow::Result<ExitCode> {
        logs::init("warn", LogStyle::Pretty)?;
        runtime::block_on(2, self.demo())
    }

    async fn demo(self) -> anyhow::Result<ExitCode> {
        // Caught from the start: the private Redis is stopped in order whenever somebody has had enough.
        let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let style = Style::of_stdout();
        let began = Instant::now();
        let parts = parts::start(&self.redis, self.listen).await?;
        let script = Script::new(&parts, style, began);
        let result = tokio::select! {
            result = timeout(PATIENCE, self.play(&script, &parts)) => match result {
                Ok(result) => result,
                Err(_) => Err(anyhow::anyhow!("no answer came in {PATIENCE:?}")),
            },
            _ = int.recv() => return parts.stop(GRACE).await.map(|()| ExitCode::SUCCESS),
            _ = term.recv() => return parts.stop(GRACE).await.map(|()| ExitCode::SUCCESS),
        };
        if result.is_ok() && !self.once {
            script.invite()?;
            tokio::select! { _ = int.recv() => {} _ = term.recv() => {} died = parts.died() => tracing::error!("{died}") }
        }
        let stopped = tokio::select! {
            stopped = parts.stop(GRACE) => stopped,
            _ = int.recv() => return Ok(ExitCode::from(DROPPED)),
        };
        let summary = result?;
        stopped?;
        if self.once {
            show::print(&format!("\ndemo: ok, {summary} in {:.1} s", began.elapsed().as_secs_f64()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn play(&self, script: &Script<'_>, parts: &Parts) -> anyhow::Result<String> {
        script.open()?;
        let first = script.ask(QUESTION).await?;
        let second = script.ask(FOLLOW_UP).await?;
        check::all(parts, &first, &second).await
    }
}
