//! List the conversations of a user, newest change first.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::OmniError;
use super::lenient::{self, Member};

const PAGE: usize = 100;

/// One page of conversations.
#[derive(Debug)]
pub struct ConversationPage {
    pub conversations: Vec<ConversationHead>,
    /// Where the next page starts, when there is one.
    pub next: Option<String>,
}

/// A conversation without its messages. Only the id is always there.
#[derive(Clone)]
pub struct ConversationHead {
    pub id: Uuid,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    /// What was asked last: data.
    pub last_prompt: Option<String>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    records: Option<Vec<Row<'a>>>,
    #[serde(borrow)]
    data: Option<Vec<Row<'a>>>,
    #[serde(rename = "pageInfo", borrow)]
    info: Option<PageInfo<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo<'a> {
    #[serde(borrow)]
    has_next_page: Member<'a>,
    #[serde(borrow)]
    next_cursor: Member<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    id: Member<'a>,
    #[serde(borrow)]
    created_at: Member<'a>,
    #[serde(borrow)]
    updated_at: Member<'a>,
    #[serde(borrow)]
    last_prompt: Member<'a>,
    #[serde(borrow)]
    last_user_prompt: Member<'a>,
}

impl Omni {
    /// One page; without a user those of everybody the key may see.
    pub async fn conversations(
        &self,
        key: &ApiKey,
        user_id: Option<Uuid>,
        cursor: Option<&str>,
    ) -> Result<ConversationPage, OmniError> {
        let mut request = self.request(Method::GET, key, "/api/v1/ai/conversations").query(&[("pageSize", PAGE)]);
        if let Some(user_id) = user_id {
            request = request.query(&[("userId", user_id)]);
        }
        if let Some(cursor) = cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let body = self.call(Operation::Conversations, request, MAX_ANSWER).await?;
        ConversationPage::read(&body)
    }
}

impl ConversationPage {
    fn read(body: &[u8]) -> Result<Self, OmniError> {
        let bad = OmniError::BadBody { what: "the conversations are no list" };
        let Ok(page) = serde_json::from_slice::<Page<'_>>(body) else { return Err(bad) };
        let Some(rows) = page.records.or(page.data) else { return Err(bad) };
        let conversations = rows.into_iter().filter_map(|row| {
            Some(ConversationHead {
                id: lenient::read(row.id)?,
                created_at: lenient::time(row.created_at),
                updated_at: lenient::time(row.updated_at),
                last_prompt: lenient::text(row.last_prompt).or_else(|| lenient::text(row.last_user_prompt)),
            })
        });
        let next = page.info.and_then(|info| {
            let more = lenient::read(info.has_next_page).unwrap_or(true);
            lenient::text(info.next_cursor).filter(|_| more)
        });
        Ok(Self { conversations: conversations.collect(), next })
    }
}

impl std::fmt::Debug for ConversationHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConversationHead").field("id", &self.id).finish_non_exhaustive()
    }
}
