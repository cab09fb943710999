//! Where the commands keep what is theirs, by the XDG rules.

use std::env;
use std::path::PathBuf;

use anyhow::Context;

/// The embedded server of `serve`: data that must last.
pub(super) fn state(name: &str) -> anyhow::Result<PathBuf> {
    dir("XDG_STATE_HOME", ".local/state", name)
}

/// The embedded server of `demo`: data that may be deleted at any time.
pub(super) fn cache(name: &str) -> anyhow::Result<PathBuf> {
    dir("XDG_CACHE_HOME", ".cache", name)
}

fn dir(variable: &str, below_home: &str, name: &str) -> anyhow::Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let base = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)));
    let base = base.with_context(|| format!("failed to find a directory for the server: set HOME or {variable}"))?;
    Ok(base.join("omni-relay").join(name))
}
