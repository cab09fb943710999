//! Names of things: prompts, tenants, conversations.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A prompt's id: a version 7 UUID, so that ids sort by acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromptId(Uuid);

impl PromptId {
    /// A new id for a prompt that is accepted at `now`.
    pub fn new(now: Timestamp) -> Self {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
    }

    /// The id under which a job is published that was not created here: the job's own.
    pub fn of_foreign_job(job: Uuid) -> Self {
        Self(job)
    }
}

impl fmt::Display for PromptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for PromptId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Whose prompt it is. Callers without a tenant share the empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tenant(String);

impl Tenant {
    /// The tenant of a caller; `None` for an operator's.
    pub fn new(name: Option<&str>) -> Self {
        Self(name.unwrap_or_default().to_owned())
    }

    /// The name, empty for callers without a tenant.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the tenant of callers that have none.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

/// A conversation's full name: `<tenant>/<key>`, or `<key>` without a tenant. A key holds no "/", so tenants cannot meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Conversation(String);

impl Conversation {
    /// Longest key in characters.
    pub const MAX_KEY: usize = 128;

    /// The conversation that a tenant knows as `key`; `None` when the key is not `[A-Za-z0-9._:-]{1,128}`.
    pub fn new(tenant: &Tenant, key: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
        if key.is_empty() || key.len() > Self::MAX_KEY || !key.bytes().all(allowed) {
            return None;
        }
        Some(Self(if tenant.is_none() { key.to_owned() } else { format!("{}/{key}", tenant.as_str()) }))
    }

    /// A full name as it was stored or as it came back in a webhook's metadata; `None` when it cannot be one.
    pub fn from_full(name: &str) -> Option<Self> {
        let (tenant, key) = name.split_once('/').map_or((None, name), |(tenant, key)| (Some(tenant), key));
        Self::new(&Tenant::new(tenant), key)
    }

    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The caller's own name for it.
    pub fn key(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(_, key)| key)
    }

    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        Tenant::new(self.0.split_once('/').map(|(tenant, _)| tenant))
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_cannot_meet() {
        let acme = Tenant::new(Some("acme"));
        let conversation = Conversation::new(&acme, "t-1").unwrap();
        assert_eq!(conversation.as_str(), "acme/t-1");
        assert_eq!((conversation.tenant(), conversation.key()), (acme.clone(), "t-1"));
        assert_eq!(Conversation::new(&Tenant::default(), "acme/t-1"), None, "a key cannot name another tenant");
        assert_eq!(Conversation::from_full("acme/t-1"), Some(conversation));
        assert_eq!(Conversation::from_full("acme/x/y"), None);
    }

    #[test]
    fn keys_have_a_charset_and_a_length() {
        let none = Tenant::default();
        assert!(Conversation::new(&none, &"k".repeat(128)).is_some());
        for bad in ["", "a b", "é", "a{b}", &"k".repeat(129)] {
            assert_eq!(Conversation::new(&none, bad), None, "{bad:?}");
        }
    }
}
