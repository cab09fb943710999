//! The one table of settings. The loader, the suggestions for unknown keys, `config show` and docs/CONFIGURATION.md all
//! work from it.

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Where it stands in the file; `<name>` stands for any caller's name.
    pub path: &'static str,
    /// In the notation of the environment. Empty: none.
    pub default: &'static str,
    /// What a right value looks like; completes "expected …".
    pub expects: &'static str,
    /// One line on what it does.
    pub doc: &'static str,
    /// Never shown, and may be read from a file of its own by adding `_file` to its name.
    pub secret: bool,
    /// Taken at a start only: a reload that changes it is refused.
    pub restart: bool,
}

const DURATION: &str = "a duration above zero such as 250ms, 75s, 5m, 1h or 14d";
const SIZE: &str = "a size such as 65536, 256KiB or 16MiB, at most 512MiB";
const FLAG: &str = "true or false";
const SECRETS: &str = "one or more secrets, no two alike";
/// Of variables. Two underscores, because schedulers invent variables such as `OMNI_RELAY_SERVICE_HOST` for a service of that name.
pub(super) const PREFIX: &str = "OMNI_RELAY__";
const ADDRESS: &str = "an address and port such as 127.0.0.1:8080";

/// Every setting there is.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("namespace", "relay", "1 to 64 of A-Z a-z 0-9 . _ -", "prefix of every Redis key; one per Omni instance").restart(),
    key("roles", "receive,submit,process,api", "one or more of receive, submit, process, api", "what this process does; serve --roles goes before it").restart(),
    key("redis.url", "redis://127.0.0.1:6379", "redis://host, rediss://host, unix:///path, redis+sentinel://host:port,…/master or redis+cluster://host:port,…", "where Redis is, with user and password where it asks for them").secret().restart(),
    key("http.listen", "127.0.0.1:8080", ADDRESS, "webhooks, /v1 and probes; an address other hosts can reach needs callers").restart(),
    key("http.admin_listen", "127.0.0.1:8081", "an address and port such as 127.0.0.1:8081, or nothing", "/metrics, /drain and the console; empty: none; the same as http.listen: one listener for all").restart(),
    key("http.cors_origins", "", "a list of origins such as https://app.example.com", "web origins whose pages may call /v1"),
    key("omni.base_url", "", "the address of your Omni without a path, such as https://acme.omniapp.co", "the Omni instance; required, unless roles is receive alone"),
    key("omni.api_keys", "", "one or more API keys of visible ASCII characters, no two alike", "Omni API keys, each with a budget of its own; required as omni.base_url is").secret(),
    key("omni.requests_per_minute", "60", "a whole number from 1 to 100000", "Omni's limit for one key; all replicas together stay inside it"),
    key("omni.model_id", "", "a UUID", "the model for prompts that name none"),
    key("omni.run_as_key_owner", "false", FLAG, "accept prompts without a user; Omni answers them with the rights of whoever made the API key"),
    key("omni.adopt_conversations", "false", FLAG, "let callers with a tenant continue Omni conversations the relay does not know"),
    key("omni.allow_http", "false", FLAG, "allow plain http to hosts other than this one"),
    key("webhook.public_url", "", "the https address under which Omni reaches /webhooks/omni", "sent to Omni as it stands; without it no webhook is asked for and jobs are polled"),
    key("webhook.secrets", "", SECRETS, "the first signs new jobs, every one verifies; required with webhook.public_url, unless roles is process alone, and by receive without submit").secret(),
    key("webhook.tolerance", "5m", DURATION, "how far a webhook's timestamp may lie from now, either way"),
    key("reconcile.after", "75s", DURATION, "when a quiet job is looked at first, where a webhook was asked for"),
    key("jobs.deadline", "5m", DURATION, "how long a job may run, from its submission"),
    key("jobs.max_wait", "1h", DURATION, "how long a prompt may wait for its turn, a budget or a slot"),
    key("backlog.prompts", "100000", "a whole number of at least 1", "unfinished prompts at which no new one is accepted"),
    key("backlog.bytes", "256MiB", SIZE, "size of the unfinished prompts at which no new one is accepted"),
    key("backlog.tenant_share", "20", "a whole number from 1 to 100", "percent of either limit that one tenant may have"),
    key("retry.base", "1s", DURATION, "the first pause after a failure; doubles each time, with full jitter"),
    key("retry.cap", "5m", DURATION, "the longest pause between attempts"),
    key("retry.attempts", "12", "a whole number from 1 to 1000", "attempts at one stage before a prompt becomes a dead letter"),
    key("pipeline.claim_after", "15s", DURATION, "silence after which another replica takes an entry over"),
    key("results.inline_max", "256KiB", SIZE, "the largest result carried inside an entry"),
    key("results.max", "16MiB", SIZE, "the largest result fetched from Omni"),
    key("results.charts", "false", FLAG, "offer the charts of answers, which Omni draws when somebody asks for one"),
    key("retention", "14d", DURATION, "how long a finished prompt and its entries are kept"),
    key("answers.max_age", "7d", DURATION, "how long the stream of all answers keeps an entry"),
    key("answers.max_len", "1000000", "a whole number of at least 1", "how many entries the stream of all answers keeps"),
    key("users.create", "with_profile", "never, with_profile or always", "when a user unknown to Omni is created there"),
    key("tokens.secrets", "", SECRETS, "sign browser and MCP tokens, and the sessions of the console; shared by the replicas; without: no tokens").secret(),
    key("callers.<name>.key", "", "one or two of <key> or sha256:<64 hexadecimal digits>", "the bearer key of a caller, two while it is rotated").secret(),
    key("callers.<name>.tenant", "", "1 to 64 of A-Z a-z 0-9 . _ -", "the tenant a caller is bound to; without: an operator's caller"),
    key("callers.<name>.scopes", "prompts,read", "a list of prompts, read, ops, mcp", "what a caller may do"),
    key("callers.<name>.weight", "1", "a whole number from 1 to 1000", "turns its tenant gets while others get one"),
    key("callers.<name>.models", "", "a list of UUIDs", "the models a caller may name, the first one for what names none; empty: any"),
    key("callers.<name>.topics", "", "a list of names, each of 1 to 256 characters without control characters", "the topics a caller may name, the first one for what names none; empty: any"),
    key("runtime.workers", "", "a whole number from 1 to 1024", "threads; by default one less than there are cores, at least one").restart(),
    key("log.level", "info", "error, warn, info, debug, trace, or filter directives such as info,omni_relay=debug", "what is logged; RUST_LOG goes before it"),
    key("log.format", "json", "json or pretty", "one JSON object a line, or lines for people").restart(),
    key("telemetry.otlp_endpoint", "", "an address such as http://collector:4318", "a collector of OpenTelemetry (OTLP over HTTP) that gets one trace for each prompt; without a path /v1/traces is added").restart(),
    key("durability.replicas", "0", "a whole number from 0 to 100", "Redis replicas that must hold what is accepted, received, sent and published before it counts"),
];

const fn key(path: &'static str, default: &'static str, expects: &'static str, doc: &'static str) -> Key {
    Key { path, default, expects, doc, secret: false, restart: false }
}

impl Key {
    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn restart(self) -> Self {
        Self { restart: true, ..self }
    }

    /// The key that `path` sets, whatever the caller's name in it.
    pub fn find(path: &str) -> Option<&'static Self> {
        let pattern = match caller_of(path) {
            Some((_, leaf)) => &format!("callers.<name>.{leaf}"),
            None => path,
        };
        KEYS.iter().find(|key| key.path == pattern)
    }

    /// The variable that sets it.
    pub fn variable(&self) -> String {
        variable(self.path)
    }
}

/// The environment variable of a path.
pub(super) fn variable(path: &str) -> String {
    format!("{}{}", PREFIX, path.to_uppercase().replace('.', "__"))
}

/// Splits `callers.<name>.<leaf>`.
pub(super) fn caller_of(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("callers.")?.split_once('.').filter(|(_, leaf)| !leaf.contains('.'))
}

/// The known key a mistyped one probably meant.
pub(super) fn nearest(path: &str) -> Option<String> {
    let caller = caller_of(path).map(|(name, _)| name);
    let leaf = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    KEYS.iter()
        .map(|key| key.path.replace("<name>", caller.unwrap_or("<name>")))
        .map(|known| {
            let whole = strsim::normalized_damerau_levenshtein(path, &known);
            let last = strsim::normalized_damerau_levenshtein(&leaf(path), &leaf(&known)) * 0.9;
            let section = if known.starts_with(&format!("{path}.")) { 0.9 } else { 0.0 };
            (whole.max(last).max(section), known)
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_unique_and_written_one_way() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[index + 1..].iter().all(|other| other.path != key.path), "{} twice", key.path);
            let plain = key.path.replace("<name>", "name");
            assert!(plain.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_'), "{}", key.path);
            assert!(!key.path.ends_with("_file"), "{} would hide a secret's file", key.path);
        }
    }

    #[test]
    fn a_mistyped_key_leads_to_the_one_meant() {
        for (typed, meant) in [
            ("omni.base_ur", "omni.base_url"),
            ("omni.apikeys", "omni.api_keys"),
            ("base_url", "omni.base_url"),
            ("webhooks.secrets", "webhook.secrets"),
            ("redis", "redis.url"),
            ("Namespace", "namespace"),
            ("callers.chat.scope", "callers.chat.scopes"),
            ("retry.attempt", "retry.attempts"),
        ] {
            assert_eq!(nearest(typed).as_deref(), Some(meant), "{typed}");
        }
        assert_eq!(nearest("colour.scheme"), None);
    }

    #[test]
    fn callers_share_their_keys() {
        assert_eq!(Key::find("callers.chat.weight").unwrap().path, "callers.<name>.weight");
        assert!(Key::find("callers.chat").is_none());
        assert!(Key::find("callers.a.b.key").is_none());
        assert_eq!(Key::find("omni.base_url").unwrap().variable(), "OMNI_RELAY__OMNI__BASE_URL");
    }
}
