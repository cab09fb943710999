//! What an examination says of one thing.

use std::fmt::Display;

use serde::Serialize;
use utoipa::ToSchema;

use crate::runtime::chain;

/// How one thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: String,
    pub state: Health,
    /// What was seen
    pub seen: String,
    /// What to do about it; nothing where all is well
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Ok,
    Warn,
    Fail,
}

impl Check {
    pub(super) fn ok(name: impl Display, seen: impl Into<String>) -> Self {
        Self { name: name.to_string(), state: Health::Ok, seen: seen.into(), advice: None }
    }

    pub(super) fn warn(name: impl Display, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: Health::Warn, advice: Some(advice.into()), ..Self::ok(name, seen) }
    }

    /// Something that does not work.
    pub fn fail(name: impl Display, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: Health::Fail, ..Self::warn(name, seen, advice) }
    }
}

/// Something that Redis did not tell.
pub(super) fn unseen(name: &str, error: &(dyn std::error::Error + 'static)) -> Check {
    Check::fail(name, chain(error), "look at Redis; its user needs the rights in deploy/redis.acl")
}

/// `1 key`, `2 keys`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
