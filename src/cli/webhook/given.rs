//! What the verbs are given: a secret that is never typed where others see it, and a body.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use secrecy::SecretString;

const HELP: &str = "The file that holds the secret; else it is taken from OMNI_RELAY_WEBHOOK_SECRET";
const VARIABLE: &str = "OMNI_RELAY_WEBHOOK_SECRET";

/// Where the secret is. Not an argument of its own: arguments are in the list of processes and in the shell's history.
#[derive(Args)]
pub(super) struct Secret {
    #[arg(long = "secret-file", value_name = "FILE", help = HELP)]
    file: Option<PathBuf>,
}

impl Secret {
    pub(super) fn read(&self) -> anyhow::Result<SecretString> {
        let text = match &self.file {
            // As the configuration reads its files of secrets.
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("failed to read the secret in {}", file.display()))?
                .trim()
                .to_owned(),
            None => match std::env::var_os(VARIABLE).map(std::ffi::OsString::into_string) {
                Some(Ok(text)) => text,
                Some(Err(_)) => bail!("failed to read {VARIABLE}: it is not UTF-8"),
                None => bail!("failed to find a secret: set {VARIABLE}, or name a file with --secret-file"),
            },
        };
        if text.is_empty() {
            bail!("failed to use the secret: it is empty, and anybody could sign with it");
        }
        Ok(SecretString::from(text))
    }
}

/// The file's bytes, or those of stdin for `-`, exactly as they are.
pub(super) fn body(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return std::fs::read(file).with_context(|| format!("failed to read the body in {}", file.display()));
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("failed to read the body from stdin")?;
    Ok(bytes)
}
