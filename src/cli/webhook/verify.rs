//! `webhook verify`: what the receiver would say of a webhook, and why.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::super::output::Output;
use super::super::{show, values};
use super::given::{self, Secret};
use crate::omni::signature::{Rejection, Verifier};
use crate::runtime::Clock;

/// Checks a body against its signature headers and says which check fails; 1 when one does
#[derive(Args)]
pub(super) struct Verify {
    /// The body, byte for byte; - is stdin
    #[arg(default_value = "-", value_name = "BODY")]
    body: PathBuf,
    /// The value of X-Omni-Signature
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    signature: String,
    /// The value of X-Omni-Signature-Timestamp
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    timestamp: String,
    /// How far the timestamp may lie from now, either way
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = values::duration)]
    tolerance: Duration,
    /// Check as of this moment, in Unix milliseconds
    #[arg(long, value_name = "TIME")]
    now: Option<u64>,
    #[command(flatten)]
    secret: Secret,
    #[command(flatten)]
    output: Output,
}

impl Verify {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let secrets = self.secret.all(file)?;
        let verifier = Verifier::new(&secrets, self.tolerance);
        let body = given::body(&self.body)?;
        let now = self.now.unwrap_or_else(|| Clock::system().now_ms());
        let result = verifier.verify(&self.timestamp, &self.signature, &body, now);
        let verdict = match result {
            Ok(()) => "accepted",
            Err(rejection) => rejection.kind(),
        };
        show::print(&if self.output.json() {
            json!({"verdict": verdict, "bytes": body.len()}).to_string()
        } else {
            format!("{verdict}: {}", self.explain(result, secrets.len(), body.len()))
        })?;
        Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn explain(&self, result: Result<(), Rejection>, secrets: usize, bytes: usize) -> String {
        let tolerance = self.tolerance;
        let which = if secrets == 1 { "the secret".to_owned() } else { format!("one of the {secrets} secrets") };
        match result {
            Ok(()) => format!("the signature fits {which}, the timestamp and the body of {bytes} bytes"),
            Err(Rejection::Missing) => "a signature header is missing".to_owned(),
            Err(Rejection::Malformed) => {
                "expected a timestamp in digits, and sha256= with 64 hexadecimal digits or base64 of 32 bytes"
                    .to_owned()
            }
            Err(Rejection::Stale) => {
                format!("the timestamp is more than {tolerance:?} ago; the signature was not looked at")
            }
            Err(Rejection::Future) => {
                format!("the timestamp is more than {tolerance:?} ahead; the signature was not looked at")
            }
            Err(Rejection::Mismatch) => format!(
                "the headers are fine, but the signature is not of {which}, this timestamp and this body of {bytes} bytes; often a proxy or an editor changed the body"
            ),
        }
    }
}
