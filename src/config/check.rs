//! What one value alone cannot tell: values that must fit each other, and combinations to warn of.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::reader::Reader;
use super::{CallerKey, Config, Role, values};

/// Notes the settings that do not fit each other.
pub(super) fn across(config: &Config, reader: &mut Reader) {
    addresses(config, reader);
    let api = config.roles.contains(&Role::Api);
    if api && !config.http.listen.ip().is_loopback() && config.callers.is_empty() && reader.sound(&["http.listen"]) {
        reader.problem("http.listen", "other hosts can reach it and nobody is asked for a key; expected a loopback address, or callers.<name>.key for those who may call");
    }
    if reader.sound(&["retry.base", "retry.cap"]) && config.retry.cap < config.retry.base {
        reader.problem("retry.cap", "expected at least retry.base");
    }
    if reader.sound(&["results.inline_max", "results.max"]) && config.results.inline_max > config.results.max {
        reader.problem("results.inline_max", "expected at most results.max");
    }
    let longest: Duration = config.jobs.max_wait.max(config.jobs.deadline);
    if reader.sound(&["retention", "jobs.max_wait", "jobs.deadline"]) && config.retention < longest * 2 {
        reader.problem("retention", "expected at least twice the longer of jobs.max_wait and jobs.deadline");
    }
    shared_keys(config, reader);
}

fn addresses(config: &Config, reader: &mut Reader) {
    let Some(omni) = &config.omni else { return };
    let addresses =
        [("omni.base_url", Some(&omni.base_url)), ("webhook.public_url", config.webhook.public_url.as_ref())];
    for (path, url) in addresses {
        if !omni.allow_http && url.is_some_and(|url| !values::is_private(url)) {
            reader.problem(
                path,
                "secrets would travel in the clear; expected https, http to this host, or omni.allow_http = true",
            );
        }
    }
}

/// A key shared by two callers would make one of them the other.
fn shared_keys(config: &Config, reader: &mut Reader) {
    let keys: Vec<(&str, &CallerKey)> =
        config.callers.iter().flat_map(|caller| caller.keys.iter().map(|key| (caller.name.as_str(), key))).collect();
    for (index, (name, key)) in keys.iter().enumerate() {
        if let Some((other, _)) = keys[..index].iter().find(|(_, earlier)| earlier == key) {
            reader.problem(&format!("callers.{name}.key"), format!("given twice, also by callers.{other}.key"));
        }
    }
}

/// One line for each risk that was chosen.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let weak = |path: &str, secrets: &[SecretString], least: usize| {
        let weak = secrets.iter().any(|secret| secret.expose_secret().len() < least);
        weak.then(|| format!("{path} holds a secret shorter than {least} bytes: it can be guessed"))
    };
    // HS256 wants as many bytes as it makes.
    let weak =
        [weak("webhook.secrets", &config.webhook.secrets, 16), weak("tokens.secrets", &config.tokens.secrets, 32)];
    risks(config).chain(weak.into_iter().flatten()).collect()
}

fn risks(config: &Config) -> impl Iterator<Item = String> {
    let api = config.roles.contains(&Role::Api);
    let omni = config.omni.as_ref();
    let open_admin = config.http.admin_listen.filter(|address| !address.ip().is_loopback());
    [
        (api && config.callers.is_empty()).then(|| format!("no callers are configured: whoever reaches {} may submit and read prompts", config.http.listen)),
        open_admin.map(|address| format!("http.admin_listen is {address}: whoever reaches it can read the metrics")),
        omni.filter(|omni| omni.allow_http).map(|_| "omni.allow_http is on: API keys, prompts and answers may travel in the clear".to_owned()),
        omni.filter(|omni| omni.run_as_key_owner).map(|_| "omni.run_as_key_owner is on: prompts without a user are answered with the rights of whoever made the API key".to_owned()),
        omni.filter(|_| config.webhook.public_url.is_none()).map(|_| "webhook.public_url is not set: Omni is asked for no webhooks, answers are found by polling alone".to_owned()),
    ]
    .into_iter()
    .flatten()
}
