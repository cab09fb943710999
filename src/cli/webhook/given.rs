//! What the verbs are given: a secret that is never typed where others see it, and a body.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use secrecy::SecretString;

use crate::config::{Config, Sources};

const HELP: &str = "The file that holds the secret, or several, as in the configuration, the one that signs first; else it is taken from \
                    OMNI_RELAY_WEBHOOK_SECRET, else those of the configuration of serve";
const VARIABLE: &str = "OMNI_RELAY_WEBHOOK_SECRET";

/// Where the secret is. Not an argument of its own: arguments are in the list of processes and in the shell's history.
#[derive(Args)]
pub(super) struct Secret {
    #[arg(long = "secret-file", value_name = "FILE", help = HELP)]
    file: Option<PathBuf>,
}

impl Secret {
    /// The one to sign with.
    pub(super) fn first(&self, config: Option<PathBuf>) -> anyhow::Result<SecretString> {
        Ok(self.all(config)?.swap_remove(0))
    }

    /// At least one; the first signs.
    pub(super) fn all(&self, config: Option<PathBuf>) -> anyhow::Result<Vec<SecretString>> {
        let secrets = match (&self.file, std::env::var_os(VARIABLE).map(std::ffi::OsString::into_string)) {
            // As the configuration reads its files of secrets.
            (Some(file), _) => {
                let text = std::fs::read_to_string(file);
                let text = text.with_context(|| format!("failed to read the secret in {}", file.display()))?;
                text.split([',', '\n']).map(str::trim).filter(|line| !line.is_empty()).map(SecretString::from).collect()
            }
            (None, Some(Ok(text))) => Vec::from_iter((!text.is_empty()).then(|| SecretString::from(text))),
            (None, Some(Err(_))) => bail!("failed to read {VARIABLE}: it is not UTF-8"),
            (None, None) => {
                let secrets = Config::webhook_secrets(&Sources::from_process(config)?)?;
                if secrets.is_empty() {
                    bail!(
                        "failed to find a secret: set {VARIABLE}, or name a file with --secret-file, or a configuration with webhook.secrets"
                    );
                }
                secrets
            }
        };
        if secrets.is_empty() {
            bail!("failed to use the secret: it is empty, and anybody could sign with it");
        }
        Ok(secrets)
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
