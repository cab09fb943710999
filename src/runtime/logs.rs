//! Logs on stderr: JSON for machines, lines for people.

use std::io::{IsTerminal, stderr};
use std::panic::PanicHookInfo;

use thiserror::Error;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStyle {
    /// One JSON object a line.
    Json,
    Pretty,
}

#[derive(Debug, Error)]
pub enum LogsError {
    #[error("read the log filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("install the logger: there is one already")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
    #[error("change the log filter")]
    Reload(#[from] reload::Error),
}

/// The logging of the process, for those who change what is logged.
pub struct Logs(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Logs {
    /// Logs by this filter from now on.
    pub fn filter(&self, filter: &str) -> Result<(), LogsError> {
        Ok((self.0)(EnvFilter::builder().parse(filter)?)?)
    }
}

/// Starts logging for the whole process, once; panics are logged as well. `filter` is a level or a list of directives; configuration has already
/// put `RUST_LOG` in its place.
pub fn init(filter: &str, style: LogStyle) -> Result<Logs, LogsError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let logs = match style {
        LogStyle::Json => {
            let lines = lines.json().flatten_event(true).with_span_list(false).with_filter_reloading();
            let handle = lines.reload_handle();
            lines.finish().try_init()?;
            Logs(Box::new(move |filter| handle.reload(filter)))
        }
        LogStyle::Pretty => {
            let lines = lines.with_target(false).with_ansi(stderr().is_terminal()).with_filter_reloading();
            let handle = lines.reload_handle();
            lines.finish().try_init()?;
            Logs(Box::new(move |filter| handle.reload(filter)))
        }
    };
    std::panic::set_hook(Box::new(log_panic));
    Ok(logs)
}

/// A message written in the code is logged; a formatted one may carry a prompt, so only its place is.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string);
    let message = info.payload().downcast_ref::<&'static str>();
    tracing::error!(place, message, "panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_refused_before_anything_is_installed() {
        assert!(matches!(init("omni_relay=loud", LogStyle::Json), Err(LogsError::Filter(_))));
    }
}
