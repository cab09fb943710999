//! From sources to a checked configuration.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::available_parallelism;

use secrecy::SecretString;
use uuid::Uuid;

use super::reader::Reader;
use super::{
    AnswersConfig, BacklogConfig, Caller, CallerKey, Callers, Config, ConfigError, DurabilityConfig, HttpConfig,
    JobsConfig, LogConfig, LogFormat, OmniConfig, Origin, PipelineConfig, ReconcileConfig, RedisAddress, RedisConfig,
    ResultsConfig, RetryConfig, Role, RuntimeConfig, Scope, Sources, TelemetryConfig, TokensConfig, UserCreation,
    UsersConfig, WebhookConfig, check, environment, file, keys, values,
};

/// A configuration and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    shown: Vec<(String, String, Origin)>,
}

impl Loaded {
    /// Key, value without secrets, origin: one row for each setting in force.
    pub fn show(&self) -> Vec<(String, String, Origin)> {
        self.shown.clone()
    }

    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.shown.iter().find(|(shown, _, _)| shown == key).map(|(_, _, origin)| origin)
    }
}

impl Config {
    /// Defaults < file < environment. Reads nothing but the secret files it is told to read. The error names everything
    /// that is wrong.
    pub fn load(sources: Sources) -> Result<Loaded, ConfigError> {
        let mut reader = layers(&sources);
        let Sources { mut env, .. } = sources;
        let rust_log = env.remove(environment::RUST_LOG).filter(|text| !text.trim().is_empty());
        // Of a file that cannot be read nobody knows what it lacks.
        let unread = reader.problems.iter().any(|problem| problem.key.is_none());
        let mut config = config(&mut reader, rust_log);
        if unread {
            reader.problems.retain(|problem| problem.origin.is_some());
        }
        if !reader.problems.is_empty() {
            return Err(ConfigError { problems: reader.problems });
        }
        config.warnings = check::warnings(&config);
        Ok(Loaded { config, shown: reader.shown })
    }

    /// Where a relay of these sources listens, whatever else is wrong with them.
    pub fn listen(sources: &Sources) -> Result<SocketAddr, ConfigError> {
        alone(sources, listen)
    }

    /// The secrets of a relay's webhooks, the one that signs first, whatever else is wrong with these sources.
    pub fn webhook_secrets(sources: &Sources) -> Result<Vec<SecretString>, ConfigError> {
        alone(sources, |reader| reader.secrets("webhook.secrets"))
    }
}

fn alone<T>(sources: &Sources, read: impl Fn(&mut Reader) -> T) -> Result<T, ConfigError> {
    let mut reader = layers(sources);
    reader.problems.clear();
    let value = read(&mut reader);
    if reader.problems.is_empty() { Ok(value) } else { Err(ConfigError { problems: reader.problems }) }
}

fn layers(sources: &Sources) -> Reader {
    let mut reader = Reader::default();
    if let Some((path, text)) = &sources.file {
        reader.put(file::read(path, text));
    }
    reader.put(environment::read(&sources.env));
    if let Some(roles) = &sources.roles {
        reader.put_one("roles", roles.clone(), Origin::Flag("--roles"));
    }
    reader
}

/// In the order of the table, which is the order they are shown in.
fn config(reader: &mut Reader, rust_log: Option<String>) -> Config {
    let namespace = reader.get("namespace", values::name);
    let roles = roles(reader);
    let redis = redis(reader);
    let http = http(reader);
    let omni = omni(reader, &roles);
    let webhook = webhook(reader, &roles);
    let reconcile = ReconcileConfig { after: reader.get("reconcile.after", values::duration) };
    let jobs = JobsConfig {
        deadline: reader.get("jobs.deadline", values::duration),
        max_wait: reader.get("jobs.max_wait", values::duration),
    };
    let backlog = BacklogConfig {
        prompts: reader.get("backlog.prompts", positive),
        bytes: reader.get("backlog.bytes", values::size),
        tenant_share: reader.get("backlog.tenant_share", |text| number(text, 1, 100)),
    };
    let retry = RetryConfig {
        base: reader.get("retry.base", values::duration),
        cap: reader.get("retry.cap", values::duration),
        attempts: reader.get("retry.attempts", |text| number(text, 1, 1000)),
    };
    let pipeline = PipelineConfig { claim_after: reader.get("pipeline.claim_after", values::duration) };
    let results = ResultsConfig {
        inline_max: reader.get("results.inline_max", values::size),
        max: reader.get("results.max", values::size),
        charts: reader.get("results.charts", values::flag),
    };
    let retention = reader.get("retention", values::duration);
    let answers = AnswersConfig {
        max_age: reader.get("answers.max_age", values::duration),
        max_len: reader.get("answers.max_len", positive),
    };
    let users = UsersConfig { create: reader.get("users.create", user_creation) };
    let tokens = TokensConfig { secrets: reader.secrets("tokens.secrets") };
    let callers = callers(reader);
    let runtime = runtime(reader);
    let log = log(reader, rust_log);
    let telemetry = TelemetryConfig { otlp_endpoint: reader.optional("telemetry.otlp_endpoint", values::web_address) };
    let durability = DurabilityConfig { replicas: reader.get("durability.replicas", |text| number(text, 0, 100)) };
    let config = Config {
        namespace,
        roles,
        redis,
        http,
        omni,
        webhook,
        reconcile,
        jobs,
        backlog,
        retry,
        pipeline,
        results,
        retention,
        answers,
        users,
        tokens,
        callers,
        runtime,
        log,
        telemetry,
        durability,
        warnings: Vec::new(),
    };
    check::across(&config, reader);
    config
}

/// After a problem none, so that no setting is missed for a role that may not have been meant.
fn roles(reader: &mut Reader) -> BTreeSet<Role> {
    let roles: BTreeSet<Role> = reader.list("roles", Role::parse).into_iter().collect();
    if roles.is_empty() {
        reader.reject("roles");
    }
    if reader.sound(&["roles"]) { roles } else { BTreeSet::new() }
}

fn redis(reader: &mut Reader) -> RedisConfig {
    let url = reader.secret_address("redis.url");
    if reader.sound(&["redis.url"])
        && let Err(message) = RedisAddress::parse(&url)
    {
        reader.problem("redis.url", message);
    }
    RedisConfig { url: SecretString::from(url) }
}

fn http(reader: &mut Reader) -> HttpConfig {
    HttpConfig {
        listen: listen(reader),
        admin_listen: reader.optional("http.admin_listen", |text| text.parse().ok()),
        // As browsers write them.
        cors_origins: reader
            .list("http.cors_origins", |text| values::origin(text).map(|url| url.origin().ascii_serialization())),
    }
}

fn listen(reader: &mut Reader) -> SocketAddr {
    reader.get("http.listen", |text| text.parse().ok())
}

/// Nothing of it is wanted where nobody asks Omni: not its keys either, though others find them in the same file.
fn omni(reader: &mut Reader, roles: &BTreeSet<Role>) -> Option<OmniConfig> {
    if !roles.iter().any(|role| role.asks_omni()) {
        return None;
    }
    let base_url = reader.optional("omni.base_url", values::origin);
    if base_url.is_none() && reader.sound(&["omni.base_url"]) {
        reader.missing("omni.base_url");
    }
    let api_keys = reader.secret_list("omni.api_keys", |text| values::header_safe(text).map(SecretString::from));
    if api_keys.is_empty() && reader.sound(&["omni.api_keys"]) {
        reader.missing("omni.api_keys");
    }
    let requests_per_minute = reader.get("omni.requests_per_minute", |text| number(text, 1, 100_000));
    let model_id = reader.optional("omni.model_id", |text| Uuid::parse_str(text).ok());
    let run_as_key_owner = reader.get("omni.run_as_key_owner", values::flag);
    let adopt_conversations = reader.get("omni.adopt_conversations", values::flag);
    let allow_http = reader.get("omni.allow_http", values::flag);
    base_url.map(|base_url| OmniConfig {
        base_url,
        api_keys,
        requests_per_minute,
        model_id,
        run_as_key_owner,
        adopt_conversations,
        allow_http,
    })
}

fn webhook(reader: &mut Reader, roles: &BTreeSet<Role>) -> WebhookConfig {
    let public_url = reader.optional("webhook.public_url", values::web_address);
    let secrets = reader.secrets("webhook.secrets");
    let has = |role| roles.contains(&role);
    let uses = has(Role::Receive) || has(Role::Submit) || has(Role::Api);
    let others_sign = has(Role::Receive) && !has(Role::Submit);
    let wanted = (public_url.is_some() && uses) || others_sign;
    if wanted && secrets.is_empty() && reader.sound(&["webhook.secrets"]) {
        reader.missing("webhook.secrets");
    }
    WebhookConfig { public_url, secrets, tolerance: reader.get("webhook.tolerance", values::duration) }
}

fn callers(reader: &mut Reader) -> Callers {
    let mut names: Vec<String> =
        reader.explicit().filter_map(|(path, _)| keys::caller_of(path)).map(|(name, _)| name.to_owned()).collect();
    names.dedup();
    Callers::new(names.into_iter().map(|name| caller(reader, name)).collect())
}

fn caller(reader: &mut Reader, name: String) -> Caller {
    let path = |leaf: &str| format!("callers.{name}.{leaf}");
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if values::name(&name).is_none() || !name.chars().all(lower) {
        reader.problem(&path("key"), "expected a caller's name of 1 to 64 of a-z 0-9 _ -");
    }
    let parse = |text: &str| CallerKey::parse(&values::header_safe(text)?);
    let keys = reader.secret_list(&path("key"), parse);
    if keys.is_empty() && reader.sound(&[&path("key")]) {
        reader.missing(&path("key"));
    }
    if keys.len() > 2 {
        reader.problem(&path("key"), "expected at most two keys, the new one and the old");
    }
    let tenant = reader.optional(&path("tenant"), values::name);
    let scopes = reader.list(&path("scopes"), Scope::parse).into_iter().collect();
    let weight = reader.get(&path("weight"), |text| number(text, 1, 1000));
    let models = reader.list(&path("models"), |text| Uuid::parse_str(text).ok());
    let topics = reader.list(&path("topics"), values::topic);
    Caller { name, keys, tenant, scopes, weight, models, topics }
}

fn runtime(reader: &mut Reader) -> RuntimeConfig {
    let workers = reader.optional("runtime.workers", |text| number(text, 1, 1024));
    let workers = workers.map_or_else(
        || available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1)),
        |workers| usize::try_from(workers).unwrap_or(1),
    );
    reader.worked_out("runtime.workers", workers.to_string());
    RuntimeConfig { workers }
}

fn log(reader: &mut Reader, rust_log: Option<String>) -> LogConfig {
    let level = match rust_log {
        None => reader.get("log.level", values::log_filter),
        Some(directives) => {
            reader.put_one("log.level", directives, Origin::Environment(environment::RUST_LOG.to_owned()));
            reader.get("log.level", |text| values::is_filter(text).then(|| text.to_owned()))
        }
    };
    LogConfig { level, format: reader.get("log.format", log_format) }
}

fn number(text: &str, least: u32, most: u32) -> Option<u32> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

fn positive(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number > 0)
}

fn user_creation(text: &str) -> Option<UserCreation> {
    match text {
        "never" => Some(UserCreation::Never),
        "with_profile" => Some(UserCreation::WithProfile),
        "always" => Some(UserCreation::Always),
        _ => None,
    }
}

fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "json" => Some(LogFormat::Json),
        "pretty" => Some(LogFormat::Pretty),
        _ => None,
    }
}
