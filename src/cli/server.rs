//! The embedded Redis of a command, watched for as long as the relay runs.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use tracing::{error, info, warn};

use crate::runtime::{Lifecycle, Outcome};
use crate::store::embedded::{Embedded, EmbeddedOptions};

/// The task that a death of the embedded server is put down to.
const TASK: &str = "embedded redis";

/// Starts the server whose data is in `dir`.
pub(super) async fn start(dir: PathBuf) -> anyhow::Result<Embedded> {
    let server = Embedded::start(EmbeddedOptions::new(&dir)).await.context("failed to start the embedded Redis")?;
    info!(version = server.version(), dir = %dir.display(), "embedded redis started");
    Ok(server)
}

/// [`Lifecycle::run_until_signal`], which the death of the server ends as well. Stops the server last.
///
/// `listening` is called once the signals are caught.
pub(super) async fn run_until_signal(
    lifecycle: &Lifecycle,
    grace: Duration,
    server: Option<Embedded>,
    listening: impl FnOnce(),
) -> anyhow::Result<Outcome> {
    let mut until_signal = pin!(lifecycle.run_until_signal(grace));
    // The first poll catches the signals, and only then somebody is told to send them.
    let ended = futures_util::poll!(until_signal.as_mut());
    listening();
    if let std::task::Poll::Ready(outcome) = ended {
        return Ok(outcome?);
    }
    let Some(mut server) = server else { return Ok(until_signal.await?) };
    let outcome = tokio::select! {
        outcome = until_signal.as_mut() => outcome?,
        died = server.ended() => {
            error!(error = %died, "the embedded redis ended");
            lifecycle.request_stop();
            let _ = until_signal.await?;
            return Ok(Outcome::TaskFailed(TASK));
        }
    };
    if let Err(error) = server.stop().await {
        warn!(%error, "the embedded redis did not stop in order");
    }
    Ok(outcome)
}
