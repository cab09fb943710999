//! Read the messages of one conversation.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::OmniError;
use super::lenient::{self, Member};

/// What somebody said in a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// A person's, not the agent's.
    pub by_user: bool,
    /// Data.
    pub text: String,
    pub created_at: Option<Timestamp>,
    /// The job that the message started, or that answered it.
    pub job_id: Option<Uuid>,
    pub omni_chat_url: Option<String>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    messages: Vec<Row<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    role: Member<'a>,
    #[serde(borrow)]
    text: Member<'a>,
    #[serde(borrow)]
    content: Member<'a>,
    #[serde(borrow)]
    created_at: Member<'a>,
    #[serde(borrow)]
    timestamp: Member<'a>,
    #[serde(borrow)]
    job_id: Member<'a>,
    #[serde(borrow)]
    omni_chat_url: Member<'a>,
}

impl Omni {
    /// The messages in their order.
    pub async fn conversation(&self, key: &ApiKey, id: Uuid) -> Result<Vec<Message>, OmniError> {
        let request = self.request(Method::GET, key, &format!("/api/v1/ai/conversations/{id}"));
        let body = self.call(Operation::Conversation, request, MAX_ANSWER).await?;
        let detail: Detail<'_> = serde_json::from_slice(&body)
            .map_err(|_| OmniError::BadBody { what: "the conversation has no messages" })?;
        Ok(detail.messages.iter().map(Message::read).collect())
    }
}

impl Message {
    fn read(row: &Row<'_>) -> Self {
        Self {
            by_user: lenient::text(row.role).is_some_and(|role| role.eq_ignore_ascii_case("user")),
            text: lenient::text(row.text).or_else(|| lenient::text(row.content)).unwrap_or_default(),
            created_at: lenient::time(row.created_at).or_else(|| lenient::time(row.timestamp)),
            job_id: lenient::read(row.job_id),
            omni_chat_url: lenient::text(row.omni_chat_url),
        }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("by_user", &self.by_user).field("job_id", &self.job_id).finish_non_exhaustive()
    }
}
