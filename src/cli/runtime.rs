//! The tokio runtime a command runs on.

use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Builder;

/// How long threads may still block after everything has ended, such as one that looks up a name.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Runs `work` to its end on so many threads: one is this one, which wakes nobody.
pub(super) fn block_on<T>(workers: usize, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut builder = if workers == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = builder.worker_threads(workers).enable_all().build().context("failed to start threads")?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(LEFT_BEHIND);
    result
}
