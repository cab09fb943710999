//! The configuration as the rest of the program sees it: every value checked, every secret typed as one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use super::{Callers, Role};

/// Everything `serve` and the operating commands need to know. Made by [`Config::load`](super::Config::load) only, so
/// that whoever holds one holds checked values.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Prefix of every Redis key; `[A-Za-z0-9._-]{1,64}`.
    pub namespace: String,
    /// At least one.
    pub roles: BTreeSet<Role>,
    pub redis: RedisConfig,
    pub http: HttpConfig,
    /// `None` where no role asks Omni: then nothing of it is read.
    pub omni: Option<OmniConfig>,
    pub webhook: WebhookConfig,
    pub reconcile: ReconcileConfig,
    pub jobs: JobsConfig,
    pub backlog: BacklogConfig,
    pub retry: RetryConfig,
    pub pipeline: PipelineConfig,
    pub results: ResultsConfig,
    /// How long a finished prompt and its entries are kept.
    pub retention: Duration,
    pub answers: AnswersConfig,
    pub users: UsersConfig,
    pub tokens: TokensConfig,
    pub callers: Callers,
    pub runtime: RuntimeConfig,
    pub log: LogConfig,
    pub telemetry: TelemetryConfig,
    pub durability: DurabilityConfig,
    pub(super) warnings: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `redis://`, `rediss://`, `unix://` or `redis+unix://`; may hold a password.
    pub url: SecretString,
}

#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    /// `None`: no metrics and no console; equal to `listen`: one listener for all.
    pub admin_listen: Option<SocketAddr>,
    pub cors_origins: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct OmniConfig {
    /// The origin alone, so that joining an absolute path to it never loses anything.
    pub base_url: Url,
    /// At least one, no two alike.
    pub api_keys: Vec<SecretString>,
    /// Per key; 1 to 100,000.
    pub requests_per_minute: u32,
    pub model_id: Option<Uuid>,
    pub run_as_key_owner: bool,
    pub adopt_conversations: bool,
    pub allow_http: bool,
}

#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// `None`: no webhook is asked for.
    pub public_url: Option<Url>,
    /// The first signs new jobs, every one verifies. Not empty where a role needs them: for `public_url`, or to receive
    /// what another process asks for.
    pub secrets: Vec<SecretString>,
    /// How far a webhook's timestamp may lie from our clock, either way.
    pub tolerance: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct ReconcileConfig {
    pub after: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct JobsConfig {
    /// From submission.
    pub deadline: Duration,
    /// In line, and for every other wait that counts no attempt.
    pub max_wait: Duration,
}

/// When no new prompt is accepted.
#[derive(Clone, Copy, Debug)]
pub struct BacklogConfig {
    /// Unfinished prompts.
    pub prompts: u64,
    /// Their size in bytes.
    pub bytes: usize,
    /// Percent of either that one tenant may have; 1 to 100.
    pub tenant_share: u32,
}

/// Full jitter between `base` and `base`·2ⁿ, at most `cap`.
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    pub base: Duration,
    pub cap: Duration,
    pub attempts: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct PipelineConfig {
    /// Without renewal for so long, an entry may be claimed by any replica.
    pub claim_after: Duration,
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct ResultsConfig {
    pub inline_max: usize,
    pub max: usize,
    /// Whether charts are offered.
    pub charts: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct AnswersConfig {
    pub max_age: Duration,
    /// In entries.
    pub max_len: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct UsersConfig {
    pub create: UserCreation,
}

/// When an external user who is not in Omni yet is created there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCreation {
    Never,
    WithProfile,
    Always,
}

#[derive(Clone, Debug)]
pub struct TokensConfig {
    /// The first signs, every one verifies. Empty: no browser or MCP tokens.
    pub secrets: Vec<SecretString>,
}

#[derive(Clone, Copy, Debug)]
pub struct RuntimeConfig {
    /// Threads of the runtime, at least one.
    pub workers: usize,
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A level or a list of filter directives; `RUST_LOG` where that is set.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// `None`: no spans are made.
    pub otlp_endpoint: Option<Url>,
}

#[derive(Clone, Copy, Debug)]
pub struct DurabilityConfig {
    /// How many replicas must hold a write before it counts.
    pub replicas: u32,
}

impl Config {
    /// One line for each combination that is allowed and risky.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
