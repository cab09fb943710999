//! `?wait=`: an answer that takes until the prompt's end, or as long as its caller would wait.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::problem::Problem;
use super::{Services, parameters};
use crate::model::{Conversation, PromptId};

/// Longest wait in seconds.
const LONGEST: u64 = 60;
/// Longest time between two looks where nothing wakes.
const LOOK: Duration = Duration::from_secs(5);

/// Reads the query of a route whose only parameter is `wait`.
pub(super) fn parse(query: Option<&str>) -> Result<Duration, Problem> {
    let given = parameters::of(query, &["wait"])?;
    let Some(wait) = given.get("wait") else { return Ok(Duration::ZERO) };
    let digits = !wait.is_empty() && wait.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = wait.parse().ok().filter(|seconds| digits && *seconds <= LONGEST);
    let detail = || format!("must be a whole number of seconds from 0 to {LONGEST}");
    Ok(Duration::from_secs(seconds.ok_or_else(|| parameters::wrong("wait", detail()))?))
}

/// Returns once the prompt's terminal entry is out, `wait` is over or the process stops. Where Redis is away meanwhile,
/// waiting goes on: it may come back in time.
pub(super) async fn for_end(services: &Services, conversation: &Conversation, id: PromptId, wait: Duration) {
    if wait.is_zero() {
        return;
    }
    let end = Instant::now() + wait;
    let watch = services.wake.watch(conversation);
    loop {
        let changed = watch.changed(LOOK);
        if let Ok(Some(_)) = services.store.terminal_entry(conversation, id).await {
            return;
        }
        tokio::select! {
            _ = changed => {}
            () = sleep_until(end) => return,
            () = services.stop.requested() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_whole_seconds_up_to_a_minute() {
        for (query, seconds) in [(None, 0), (Some(""), 0), (Some("wait=0"), 0), (Some("wait=60"), 60)] {
            assert_eq!(parse(query).unwrap(), Duration::from_secs(seconds), "{query:?}");
        }
        for query in ["wait=61", "wait=-1", "wait=+1", "wait=", "wait=1.5", "wait=5s", "wait=1&wait=1", "wiat=1"] {
            assert_eq!(parse(Some(query)).unwrap_err().status.as_u16(), 422, "{query}");
        }
    }
}
