//! On whose behalf a prompt is asked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::fields::Fields;
use super::profile;

/// Largest description of a user in bytes of JSON.
const MAX_PROFILE: usize = 16 * 1024;
/// Longest external id of a user in bytes.
pub const MAX_EXTERNAL_ID: usize = 512;

/// What `user` may have. All but the last two may create one.
pub(super) const PROFILE: [&str; 9] =
    ["name", "email", "groups", "userAttributes", "connectionRoles", "modelRoles", "entity", "externalId", "userId"];

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
    /// Reads `user: {userId | externalId, …}`, or `userId` at the top, as in Omni's own API.
    pub(super) fn read(fields: &mut Fields, run_as_key_owner: bool) -> Option<Self> {
        let before = fields.errors.len();
        let top = fields.uuid("userId");
        let described = fields.object("user");
        if fields.errors.len() > before {
            return None;
        }
        match (top, described) {
            (Some(user_id), None) => Some(Self::Id { user_id }),
            (Some(_), Some(_)) => {
                fields.wrong("userId", "and user cannot both be given");
                None
            }
            (None, Some(object)) => nested(fields, object),
            (None, None) if run_as_key_owner => Some(Self::Owner {}),
            (None, None) => {
                fields.wrong("user", "is required: {\"externalId\": …} or {\"userId\": …}; without one Omni would answer with the rights of the key's creator");
                None
            }
        }
    }

    /// What a conversation compares: two prompts of one conversation must have the same.
    pub fn identity(&self) -> String {
        match self {
            Self::Id { user_id } => format!("id:{user_id}"),
            Self::External { external_id, .. } => format!("external:{external_id}"),
            Self::Owner {} => "owner".to_owned(),
        }
    }
}

fn nested(fields: &mut Fields, object: Map<String, Value>) -> Option<User> {
    let mut inner = Fields::new("/user", object);
    let user_id = inner.uuid("userId");
    let external_id = inner.text("externalId", MAX_EXTERNAL_ID);
    let mut profile = Map::new();
    for name in &PROFILE[..7] {
        if let Some(value) = inner.take(name) {
            match profile::wrong(name, &value) {
                Some(expected) => inner.wrong(name, expected),
                None => drop(profile.insert((*name).to_owned(), value)),
            }
        }
    }
    if serde_json::to_string(&profile).is_ok_and(|text| text.len() > MAX_PROFILE) {
        fields.wrong("user", format!("must be at most {MAX_PROFILE} bytes of JSON"));
    }
    if user_id.is_some() == external_id.is_some() && inner.errors.is_empty() {
        fields.wrong("user", "must have one of externalId and userId");
    }
    fields.errors.extend(inner.finish(&PROFILE));
    match (user_id, external_id) {
        (Some(user_id), None) => Some(User::Id { user_id }),
        (None, Some(external_id)) => Some(User::External { external_id, profile }),
        _ => None,
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
