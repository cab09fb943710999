//! `webhook send`: a signed event, as Omni would post it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use super::super::output::Output;
use super::super::{runtime, show};
use super::given::{self, Secret};
use crate::omni::{post_signed, test_event};
use crate::runtime::Clock;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Posts a signed event to a receiver and prints what it answers; 1 unless that is a success
#[derive(Args)]
pub(super) struct Send {
    /// The receiver: /webhooks/omni of a relay
    url: Url,
    /// The body to send as it is; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "job_id")]
    body: Option<PathBuf>,
    /// Say that this job has ended; else the event is one of our own, which a relay notes and passes over
    #[arg(long, value_name = "UUID")]
    job_id: Option<Uuid>,
    /// How the job has ended
    #[arg(long, value_name = "STATE", default_value = "COMPLETE", requires = "job_id")]
    state: String,
    #[command(flatten)]
    secret: Secret,
    #[command(flatten)]
    output: Output,
}

impl Send {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        runtime::block_on(1, self.send(file))
    }

    async fn send(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let secret = self.secret.first(file)?;
        let now = Clock::system().now();
        let body = match &self.body {
            Some(file) => given::body(file)?,
            None => self.event(&now.to_string()),
        };
        let status = post_signed(&self.url, &secret, now, body, TIMEOUT).await;
        let status = status.with_context(|| format!("failed to reach {}", self.url))?;
        let json = || json!({"status": status.as_u16()}).to_string();
        show::print(&if self.output.json() { json() } else { status.to_string() })?;
        Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn event(&self, now: &str) -> Vec<u8> {
        let event_id = format!("evt_{}", Uuid::new_v4().simple());
        let event = match self.job_id {
            Some(job_id) => json!({"event_id": event_id, "jobId": job_id, "status": self.state, "completed_at": now}),
            None => return test_event(&event_id),
        };
        event.to_string().into_bytes()
    }
}
