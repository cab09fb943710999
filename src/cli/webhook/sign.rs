//! `webhook sign`: the headers that Omni would send with a body.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::super::output::Output;
use super::super::show;
use super::given::{self, Secret};
use crate::omni::signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
use crate::runtime::Clock;

/// Prints the signature headers for a body
#[derive(Args)]
pub(super) struct Sign {
    /// The body, byte for byte; - is stdin
    #[arg(default_value = "-", value_name = "BODY")]
    body: PathBuf,
    /// Unix time in seconds, or in milliseconds; else now
    #[arg(long, value_name = "TIME")]
    timestamp: Option<u64>,
    #[command(flatten)]
    secret: Secret,
    #[command(flatten)]
    output: Output,
}

impl Sign {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let secret = self.secret.first(file)?;
        let body = given::body(&self.body)?;
        let timestamp = self.timestamp.unwrap_or_else(|| Clock::system().now_ms() / 1000).to_string();
        let signature = sign(&secret, &timestamp, &body);
        show::print(&if self.output.json() {
            json!({SIGNATURE_HEADER: signature, TIMESTAMP_HEADER: timestamp}).to_string()
        } else {
            format!("{SIGNATURE_HEADER}: {signature}\n{TIMESTAMP_HEADER}: {timestamp}")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
