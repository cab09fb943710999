//! What a prompt may have to wait for: a closed set, so that waits can be counted, shown and explained.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

/// Why something cannot go on now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Another prompt of its conversation is being answered, here or at Omni.
    Conversation,
    /// Omni's limit on requests is used up.
    Budget,
    /// Omni turned a key away for sending too much.
    RateLimit,
    /// Omni refuses every key.
    NoKey,
    /// Prompts of other tenants, and of its own, are before it.
    Turn,
    /// Its user is being looked up for another prompt.
    User,
    /// The create of its job is being recorded.
    Recording,
    /// There is too much unfinished.
    Backlog,
    /// Somebody else fetches the same.
    Shared,
    /// An attempt failed, and the next one is not due yet.
    Retry,
    /// An operator paused its tenant, or the stage.
    Paused,
}

impl Cause {
    const ALL: [Self; 11] = [
        Self::Conversation,
        Self::Budget,
        Self::RateLimit,
        Self::NoKey,
        Self::Turn,
        Self::User,
        Self::Recording,
        Self::Backlog,
        Self::Shared,
        Self::Retry,
        Self::Paused,
    ];

    /// As records and programs name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Budget => "budget",
            Self::RateLimit => "rate_limit",
            Self::NoKey => "no_key",
            Self::Turn => "turn",
            Self::User => "user",
            Self::Recording => "recording",
            Self::Backlog => "backlog",
            Self::Shared => "shared",
            Self::Retry => "retry",
            Self::Paused => "paused",
        }
    }

    /// For people: completes "waited for …".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Conversation => "the conversation, busy with another prompt",
            Self::Budget => "room under Omni's limit on requests",
            Self::RateLimit => "Omni, which turned a key away for too many requests",
            Self::NoKey => "a key that Omni does not refuse",
            Self::Turn => "its turn, behind other prompts",
            Self::User => "a look-up of its user that is under way",
            Self::Recording => "the record of its create",
            Self::Backlog => "room in the backlog",
            Self::Shared => "the same request, which is under way",
            Self::Retry => "the next attempt after one that failed",
            Self::Paused => "an operator, who paused it",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Cause {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for cause in Cause::ALL {
            assert_eq!(cause.as_str().parse(), Ok(cause));
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
    }
}
