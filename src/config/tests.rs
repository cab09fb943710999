//! The configuration as its users meet it: what loads, what is refused and how it is said, what the documents promise.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Config, ConfigError, KEYS, Loaded, Origin, Scope, Sources};

const SAMPLE: &str = include_str!("../../deploy/omni-relay.toml");
const DOCUMENT: &str = include_str!("../../docs/CONFIGURATION.md");

pub(super) fn least() -> Sources {
    Sources::default().with("omni.base_url", "https://acme.omniapp.co").with("omni.api_keys", "key-one")
}

pub(super) fn load(sources: Sources) -> Loaded {
    Config::load(sources).unwrap()
}

pub(super) fn refused(sources: Sources) -> ConfigError {
    Config::load(sources).unwrap_err()
}

pub(super) fn file(text: &str) -> Sources {
    Sources { file: Some((PathBuf::from("relay.toml"), text.to_owned())), ..Sources::default() }
}

/// The only problem's line.
pub(super) fn complaint(sources: Sources) -> String {
    let error = refused(sources);
    assert_eq!(error.problems.len(), 1, "{error}");
    error.problems[0].to_string()
}

#[test]
fn the_least_configuration_gets_the_documented_defaults() {
    let config = load(least()).config;
    assert_eq!(config.namespace, "relay");
    assert_eq!(config.redis.url.expose_secret(), "redis://127.0.0.1:6379");
    assert_eq!(config.http.admin_listen, Some("127.0.0.1:8081".parse().unwrap()));
    assert_eq!(config.omni.unwrap().requests_per_minute, 60);
    assert!(config.webhook.public_url.is_none() && config.webhook.secrets.is_empty());
    assert_eq!(config.reconcile.after, Duration::from_secs(75));
    assert_eq!((config.results.inline_max, config.results.max), (262_144, 16_777_216));
    assert_eq!(config.retention, Duration::from_hours(14 * 24));
    assert_eq!(config.answers.max_len, 1_000_000);
    assert!(config.runtime.workers >= 1);
    assert_eq!(config.log.level, "info");
}

#[test]
fn the_environment_goes_before_the_file_and_the_file_before_the_defaults() {
    let text = "namespace = 'from-file'\n[omni]\nbase_url = 'https://acme.omniapp.co'\napi_keys = ['a', 'b,c']\n[retry]\nattempts = 3\n";
    let loaded = load(file(text).with("namespace", "from-env"));
    assert_eq!(loaded.config.namespace, "from-env");
    assert_eq!(loaded.config.retry.attempts, 3);
    let keys: Vec<_> = loaded.config.omni.as_ref().unwrap().api_keys.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(keys, ["a", "b,c"], "an array's items are taken as they stand");
    assert_eq!(loaded.origin("namespace"), Some(&Origin::Environment("OMNI_RELAY__NAMESPACE".to_owned())));
    assert_eq!(loaded.origin("retry.attempts").unwrap().to_string(), "file relay.toml:6");
    assert_eq!(loaded.origin("retry.base"), Some(&Origin::Default));
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let error = refused(
        file("[omni]\napi_keys = ['k']\n\n[retry]\nbase = 5\nattemps = 3\n")
            .with("jobs.deadline", "soon")
            .with("omni.base_ulr", "https://x"),
    );
    let text = error.to_string();
    for line in [
        "unusable configuration, 5 problems:",
        "retry.attemps: unknown setting; did you mean retry.attempts? (file relay.toml:6)",
        "omni.base_ulr: unknown setting; did you mean OMNI_RELAY__OMNI__BASE_URL? (environment OMNI_RELAY__OMNI__BASE_ULR)",
        "omni.base_url: missing: expected the address of your Omni without a path, such as https://acme.omniapp.co; set it in the file or with OMNI_RELAY__OMNI__BASE_URL",
        "jobs.deadline: expected a duration above zero such as 250ms, 75s, 5m, 1h or 14d (environment OMNI_RELAY__JOBS__DEADLINE)",
        "retry.base: expected a duration above zero such as 250ms, 75s, 5m, 1h or 14d (file relay.toml:5)",
    ] {
        assert!(text.contains(line), "missing {line:?} in:\n{text}");
    }
}

#[test]
fn what_is_required_is_asked_for() {
    let text =
        refused(Sources::default().with("webhook.public_url", "https://relay.example.com/webhooks/omni")).to_string();
    for key in ["omni.base_url: missing", "omni.api_keys: missing", "webhook.secrets: missing"] {
        assert!(text.contains(key), "{text}");
    }
    assert!(complaint(least().with("omni.api_keys", " , ")).starts_with("omni.api_keys: missing"));
}

#[test]
fn where_a_relay_listens_is_known_whatever_else_is_wrong() {
    let listen = |sources: &Sources| Config::listen(sources).map(|address| address.to_string());
    assert_eq!(listen(&Sources::default()).unwrap(), "127.0.0.1:8080");
    let broken = file("roles = 7\n[http]\nlisten = '0.0.0.0:90'\n[omni]\napi_keys_file = '/nowhere/at/all'\n");
    assert_eq!(listen(&broken).unwrap(), "0.0.0.0:90");
    assert_eq!(listen(&broken.with("http.listen", "[::]:91")).unwrap(), "[::]:91");
    let error = listen(&Sources::default().with("http.listen", "everywhere")).unwrap_err();
    assert!(error.to_string().contains("http.listen: expected an address and port"), "{error}");
}

#[test]
fn secrets_appear_nowhere() {
    let secret = "hunter2hunter2hunter2";
    let good = least()
        .with("omni.api_keys", secret)
        .with("webhook.secrets", format!("{secret},{secret}x"))
        .with("redis.url", format!("rediss://relay:{secret}@redis.example.com/1"))
        .with("callers.chat.key", secret);
    let loaded = load(good.clone());
    let seen = format!("{loaded:?} {:?} {:?}", loaded.show(), loaded.config.warnings());
    assert!(!seen.contains(secret), "{seen}");
    let shown = |key: &str| loaded.show().into_iter().find(|row| row.0 == key).unwrap().1;
    assert_eq!(shown("redis.url"), "rediss://relay:***@redis.example.com/1");
    assert_eq!(shown("omni.api_keys"), "(secret)");
    assert_eq!(shown("webhook.secrets"), "(2 secrets)");

    let bad = good
        .with("redis.url", format!("redis://{secret}@"))
        .with("omni.base_url", format!("https://{secret}@acme.omniapp.co"))
        .with("omni.api_keys", format!("{secret},{secret}"))
        .with("callers.chat.key", format!("{secret} {secret}"))
        .with("callers.chat.scopes", secret);
    let error = refused(bad);
    assert_eq!(error.problems.len(), 5, "{error}");
    assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    let broken = refused(file(&format!("[omni]\napi_keys = [\"{secret}\n")));
    assert!(broken.to_string().contains("relay.toml:2") && !broken.to_string().contains(secret), "{broken}");
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("keys"), "first\nsecond\r\n").unwrap();
    let text = "[omni]\nbase_url = 'https://acme.omniapp.co'\napi_keys_file = 'keys'\n";
    let beside = Sources { file: Some((directory.path().join("relay.toml"), text.to_owned())), ..Sources::default() };
    let keys = |loaded: &Loaded| -> Vec<String> {
        loaded.config.omni.as_ref().unwrap().api_keys.iter().map(|key| key.expose_secret().to_owned()).collect()
    };
    assert_eq!(keys(&load(beside.clone())), ["first", "second"]);
    assert_eq!(keys(&load(beside.clone().with("omni.api_keys", "over"))), ["over"]);

    let absolute = directory.path().join("keys").display().to_string();
    let from_env = least().with("webhook.secrets_file", absolute.clone()).with("callers.chat.key_file", absolute);
    let loaded = load(from_env.clone());
    assert_eq!(loaded.config.webhook.secrets.len(), 2);
    assert_eq!(loaded.config.callers.authenticate("second").unwrap().name, "chat");

    let both = complaint(from_env.with("webhook.secrets", "twice"));
    assert!(both.starts_with("webhook.secrets: given twice"), "{both}");
    let gone = complaint(least().with("webhook.secrets_file", "/nowhere/at/all"));
    assert!(gone.contains("cannot read /nowhere/at/all") && gone.contains("SECRETS_FILE"), "{gone}");
    let gone = complaint(least().with("redis.url_file", "/nowhere/at/all"));
    assert!(gone.contains("cannot read"), "{gone}");
    let not_secret = complaint(least().with("log.level_file", "x"));
    assert!(not_secret.starts_with("log.level_file: unknown setting"), "{not_secret}");
}

#[test]
fn callers_come_from_file_and_environment_alike() {
    let text = "[callers.chat]\nkey = 'chat-key'\ntenant = 'acme'\n[callers.desk]\nkey = ['new', 'old']\nscopes = ['ops', 'read']\nweight = 3\n";
    let mut sources = file(text);
    sources.env = least().env;
    sources.env.insert("OMNI_RELAY__CALLERS__CHAT__TENANT".to_owned(), "other".to_owned());
    let config = load(sources).config;
    let chat = config.callers.authenticate("chat-key").unwrap();
    assert_eq!((chat.name.as_str(), chat.tenant.as_deref(), chat.weight), ("chat", Some("other"), 1));
    assert_eq!(chat.scopes.iter().collect::<Vec<_>>(), [&Scope::Prompts, &Scope::Read]);
    let desk = config.callers.authenticate("old").unwrap();
    assert_eq!((desk.name.as_str(), desk.tenant.as_deref(), desk.weight), ("desk", None, 3));
    assert!(desk.may(Scope::Ops) && !desk.may(Scope::Prompts));
}

#[test]
fn unusable_callers_are_refused() {
    for (sources, expected) in [
        (least().with("callers.chat.tenant", "acme"), "callers.chat.key: missing"),
        (least().with("callers.chat.key", "a,b,c"), "callers.chat.key: expected at most two keys"),
        (least().with("callers.chat.key", "sha256:12"), "callers.chat.key: expected one or two of <key>"),
        (
            least().with("callers.chat.key", "same").with("callers.desk.key", "same"),
            "callers.desk.key: given twice, also by callers.chat.key",
        ),
        (
            least().with("callers.chat.key", "k").with("callers.chat.scopes", "read,admin"),
            "callers.chat.scopes: expected a list of prompts, read, ops, mcp",
        ),
        (
            least().with("callers.chat.key", "k").with("callers.chat.tenant", "a/b"),
            "callers.chat.tenant: expected 1 to 64",
        ),
        (
            least().with("callers.chat.key", "k").with("callers.chat.models", "orders"),
            "callers.chat.models: expected a list of UUIDs",
        ),
        (
            least().with("callers.chat.key", "k").with("callers.chat.topics", "a\tb"),
            "callers.chat.topics: expected a list of names",
        ),
        (
            least().with("callers.chat.key", "k").with("callers.chat.weight", "0"),
            "callers.chat.weight: expected a whole number",
        ),
    ] {
        let complaint = complaint(sources);
        assert!(complaint.starts_with(expected), "{complaint} is not {expected}");
    }
    let mut in_file = file("[callers.chat]\n[callers.'Big One']\nkey = 'k'\n");
    in_file.env = least().env;
    let error = refused(in_file).to_string();
    assert!(
        error.contains("callers.chat.key: missing") && error.contains("callers.Big One.key: expected a caller's name"),
        "{error}"
    );
}

#[test]
fn values_that_do_not_fit_each_other_are_refused() {
    let webhook = |url: &str| least().with("webhook.public_url", url).with("webhook.secrets", "s");
    for (sources, expected) in [
        (least().with("omni.base_url", "http://acme.omniapp.co"), "omni.base_url: secrets would travel in the clear"),
        (webhook("http://relay.example.com/webhooks/omni"), "webhook.public_url: secrets would travel in the clear"),
        (least().with("http.listen", "0.0.0.0:8080"), "http.listen: other hosts can reach it"),
        (least().with("retention", "119m"), "retention: expected at least twice"),
        (least().with("jobs.deadline", "8d"), "retention: expected at least twice"),
        (least().with("retry.cap", "999ms"), "retry.cap: expected at least retry.base"),
        (least().with("results.max", "1KiB"), "results.inline_max: expected at most results.max"),
        (
            least().with("omni.requests_per_minute", "0"),
            "omni.requests_per_minute: expected a whole number from 1 to 100000",
        ),
        (least().with("omni.requests_per_minute", "100001"), "omni.requests_per_minute: expected a whole number"),
        (least().with("omni.model_id", "gpt"), "omni.model_id: expected a UUID"),
        (least().with("namespace", "a:b"), "namespace: expected 1 to 64"),
        (least().with("redis.url", "redis+sentinel://a,b"), "redis.url: expected the name of the master"),
        (least().with("redis.url", "redis+cluster://a:7000/1"), "redis.url: a cluster has no databases"),
        (least().with("redis.url", "localhost:6379"), "redis.url: expected redis://host"),
        (least().with("log.level", "loud"), "log.level: expected error, warn"),
    ] {
        let complaint = complaint(sources);
        assert!(complaint.starts_with(expected), "{complaint} is not {expected}");
    }
}

#[test]
fn what_is_allowed_on_request_is_allowed() {
    for sources in [
        least().with("omni.base_url", "http://127.0.0.1:4000"),
        least().with("omni.base_url", "http://sim:4000").with("omni.allow_http", "true"),
        least().with("http.listen", "0.0.0.0:8080").with("callers.chat.key", "k"),
        least().with("redis.url", "unix:///run/redis.sock"),
        least().with("redis.url", "redis+unix:///run/redis.sock"),
        least().with("retention", "2h"),
        least().with("webhook.secrets", ""),
    ] {
        load(sources);
    }
    assert_eq!(load(least().with("http.admin_listen", "")).config.http.admin_listen, None);
}

#[test]
fn rust_log_goes_before_the_level() {
    let mut sources = least().with("log.level", "warn");
    sources.env.insert("RUST_LOG".to_owned(), "omni_relay=trace".to_owned());
    let loaded = load(sources);
    assert_eq!(loaded.config.log.level, "omni_relay=trace");
    assert_eq!(loaded.origin("log.level").unwrap().to_string(), "environment RUST_LOG");
}

#[test]
fn warnings_name_risks() {
    let safe = least()
        .with("callers.chat.key", "k")
        .with("webhook.public_url", "https://relay.example.com/webhooks/omni")
        .with("webhook.secrets", "a-secret-of-some-length");
    assert_eq!(load(safe.clone()).config.warnings(), [] as [String; 0]);
    let risky = least().with("omni.allow_http", "true").with("omni.run_as_key_owner", "true");
    let warnings = load(risky).config.warnings().join("\n");
    for expected in ["no callers", "omni.allow_http is on", "run_as_key_owner is on", "public_url is not set"] {
        assert!(warnings.contains(expected), "{warnings}");
    }
    let weak = safe.with("webhook.secrets", "fifteen-letters").with("tokens.secrets", "a-secret-of-some-length");
    let warnings = load(weak).config.warnings().join("\n");
    assert!(warnings.contains("webhook.secrets holds") && warnings.contains("tokens.secrets holds"), "{warnings}");
}

#[test]
fn show_has_a_row_for_every_key() {
    let loaded = load(least().with("callers.chat.key", "k"));
    let shown: Vec<String> = loaded.show().into_iter().map(|(key, _, _)| key.replace("chat", "<name>")).collect();
    let known: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
    let mut sorted = shown.clone();
    sorted.sort();
    let mut expected = known.clone();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
}

#[test]
fn the_sample_file_loads_once_its_secrets_are_replaced_and_names_every_key() {
    let sources = |text: String| Sources { file: Some((PathBuf::from("sample.toml"), text)), ..Sources::default() };
    let sample = SAMPLE.replace("replace-with-", "0123456789-");
    let loaded = load(sources(sample.clone()));
    assert_eq!(loaded.config.omni.unwrap().base_url.as_str(), "https://acme.omniapp.co/");
    // Every line that is commented out must be right as well.
    let all: String =
        sample.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).flat_map(|line| [line, "\n"]).collect();
    let untouched = refused(sources(all.replace("0123456789-", "replace-with-"))).to_string();
    for path in ["omni.api_keys", "webhook.secrets", "tokens.secrets"] {
        assert!(untouched.contains(&format!("{path}: still the word of the sample")), "{untouched}");
    }
    let loaded = load(sources(all));
    for key in KEYS {
        let path = key.path.replace("<name>", "chat");
        assert!(matches!(loaded.origin(&path), Some(Origin::File { .. })), "the sample does not set {path}");
        if !key.default.is_empty() {
            let value = loaded.show().into_iter().find(|row| row.0 == path).unwrap().1;
            assert_eq!(value, key.default, "the sample shows another default for {path}");
        }
    }
}

#[test]
fn what_takes_a_restart_is_marked_in_the_table() {
    let others = [
        ("namespace", "other"),
        ("roles", "process,api"),
        ("redis.url", "redis://:password@127.0.0.1:6379"),
        ("http.listen", "127.0.0.1:9080"),
        ("http.admin_listen", ""),
        ("runtime.workers", "1023"),
        ("log.format", "pretty"),
        ("telemetry.otlp_endpoint", "http://127.0.0.1:4318"),
    ];
    let marked: Vec<&str> = KEYS.iter().filter(|key| key.restart).map(|key| key.path).collect();
    assert_eq!(marked, others.map(|(path, _)| path));
    let config = load(least()).config;
    for (path, value) in others {
        assert_eq!(config.needs_restart(&load(least().with(path, value)).config), [path]);
    }
    let all = others.into_iter().fold(least(), |sources, (path, value)| sources.with(path, value));
    assert_eq!(config.needs_restart(&load(all).config), marked);
    let free = least().with("omni.api_keys", "another").with("callers.chat.key", "k").with("log.level", "debug");
    assert!(config.needs_restart(&load(free).config).is_empty());
}

#[test]
fn the_document_holds_the_table_of_keys() {
    let rows: Vec<String> = KEYS.iter().map(row).collect();
    let missing: Vec<&String> = rows.iter().filter(|row| !DOCUMENT.contains(row.as_str())).collect();
    let table = rows.join("\n");
    assert!(missing.is_empty(), "docs/CONFIGURATION.md lacks {missing:#?}; the table should be:\n{table}");
    let written = DOCUMENT.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(written, KEYS.len(), "docs/CONFIGURATION.md describes keys that do not exist");
}

fn row(key: &super::Key) -> String {
    let default = if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
    let secret = if key.secret { " **Secret.**" } else { "" };
    let restart = if key.restart { " *Restart.*" } else { "" };
    format!("| `{}` | {default} | {} | {}.{secret}{restart} |", key.path, key.expects.replace('<', "&lt;"), key.doc)
}
