//! Configuration: defaults < TOML file < environment; closed, documented, redacted.

mod callers;
mod check;
mod environment;
mod file;
mod keys;
mod layer;
mod load;
mod problem;
mod reader;
mod redis_address;
mod restart;
mod role;
mod scope;
mod sources;
mod types;
mod values;

#[cfg(test)]
mod tests;

pub use callers::{Caller, CallerKey, Callers};
pub use keys::{KEYS, Key};
pub use load::Loaded;
pub use problem::{ConfigError, Origin, Problem};
pub use redis_address::RedisAddress;
pub use role::Role;
pub use scope::Scope;
pub use sources::Sources;
pub use types::{
    AnswersConfig, BacklogConfig, Config, DurabilityConfig, HttpConfig, JobsConfig, LogConfig, LogFormat, OmniConfig,
    PipelineConfig, ReconcileConfig, RedisConfig, ResultsConfig, RetryConfig, RuntimeConfig, TelemetryConfig,
    TokensConfig, UserCreation, UsersConfig, WebhookConfig,
};
