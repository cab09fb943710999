//! Configuration: defaults < TOML file < environment; closed, documented, redacted.

mod callers;
mod scope;
mod types;

pub use callers::{Caller, CallerKey, Callers};
pub use scope::{Scope, ScopeSet};
pub use types::{
    AnswersConfig, Config, DurabilityConfig, HttpConfig, JobsConfig, LogConfig, LogFormat, OmniConfig, PipelineConfig,
    ReconcileConfig, RedisConfig, ResultsConfig, RetryConfig, RuntimeConfig, TokensConfig, UserCreation, UsersConfig,
    WebhookConfig,
};
