//! Make an embed user, by generate-session: the session itself is never redeemed.

use std::fmt;

use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::OmniError;

/// Where instances have the call: one published it, the guide and the SDK use the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionPath {
    V1,
    Unstable,
}

/// An embed user with everything that is said of it. What is left out, Omni may take away from one that exists.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmbedUser<'a> {
    pub external_id: &'a str,
    pub name: &'a str,
    /// `email`, `groups`, `userAttributes`, … in Omni's own names; no `name`.
    #[serde(flatten)]
    pub others: &'a Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(flatten)]
    user: EmbedUser<'a>,
    /// Some instances want one; nobody will look at it.
    content_path: &'static str,
}

impl SessionPath {
    const fn path(self) -> &'static str {
        match self {
            Self::V1 => "/api/v1/embed/sso/generate-session",
            Self::Unstable => "/api/unstable/embed/sso/generate-session",
        }
    }

    /// The one to try where this one is not known.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::V1 => Self::Unstable,
            Self::Unstable => Self::V1,
        }
    }
}

impl Omni {
    /// Creates the user, or makes one that exists be as is said here. May be repeated. A 404 says that the path is not known.
    pub async fn generate_session(
        &self,
        key: &ApiKey,
        path: SessionPath,
        user: EmbedUser<'_>,
    ) -> Result<(), OmniError> {
        let body = Body { user, content_path: "/my" };
        let request = self.request(Method::POST, key, path.path()).json(&body);
        self.call(Operation::Session, request, MAX_ANSWER).await.map(drop)
    }
}

impl fmt::Debug for EmbedUser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbedUser").finish_non_exhaustive()
    }
}
