//! On whose behalf a prompt is asked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The user whose Omni permissions scope the answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum User {
    /// An Omni membership id, passed on without a look-up.
    #[serde(rename_all = "camelCase")]
    Id {
        /// Omni's id.
        user_id: Uuid,
    },
    /// The chat product's own id, resolved to Omni's by a look-up.
    #[serde(rename_all = "camelCase")]
    External {
        /// The id that the chat product knows.
        external_id: String,
        /// Everything else that was said of the user: name, groups, attributes, roles.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        profile: Map<String, Value>,
    },
    /// The creator of Omni's key; only where the operator allows it.
    Owner {},
}

impl User {
    /// What a conversation compares: two prompts of one conversation must have the same.
    pub fn identity(&self) -> String {
        match self {
            Self::Id { user_id } => format!("id:{user_id}"),
            Self::External { external_id, .. } => format!("external:{external_id}"),
            Self::Owner {} => "owner".to_owned(),
        }
    }
}

/// Names and attributes of people stay out of logs.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Id { .. } => "User::Id",
            Self::External { .. } => "User::External",
            Self::Owner {} => "User::Owner",
        })
    }
}
