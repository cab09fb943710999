//! `?wait=`: an answer that takes until the prompt's end, or as long as its caller would wait.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use url::form_urlencoded;

use super::Services;
use super::code::Code;
use super::problem::Problem;
use crate::model::prompt::FieldError;
use crate::model::{Conversation, PromptId};

/// Longest wait in seconds.
const LONGEST: u64 = 60;
/// Longest time between two looks where nothing wakes.
const LOOK: Duration = Duration::from_secs(5);

/// Reads the query of a route whose only parameter is `wait`.
pub(super) fn parse(query: Option<&str>) -> Result<Duration, Problem> {
    let mut wait = None;
    let wrong =
        |name: &str, detail: String| Problem::fields(Code::InvalidParameter, vec![FieldError::at("", name, detail)]);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name != "wait" {
            return Err(wrong(&name, "is not a known parameter; known is wait".to_owned()));
        }
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = value.parse().ok().filter(|seconds| digits && *seconds <= LONGEST && wait.is_none());
        let detail = || format!("must be given once, as a whole number from 0 to {LONGEST}");
        wait = Some(seconds.ok_or_else(|| wrong("wait", detail()))?);
    }
    Ok(Duration::from_secs(wait.unwrap_or_default()))
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
