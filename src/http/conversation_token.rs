//! `POST /v1/conversations/{key}/token`: a short-lived token with which a browser reads that one conversation.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::auth::{self, Authorized, Read};
use super::code::Code;
use super::contract::openapi::CHAT;
use super::contract::params::ConversationName;
use super::contract::problems;
use super::problem::{self, Problem};
use super::token::{self, Minted, Purpose, Wish};
use super::{Services, body, reader};

problems!(
    Problems: auth::PROBLEMS, body::PROBLEMS, problem::ANY, token::PROBLEMS, [Code::ConversationNotFound]
);

/// Makes a token for a conversation that its caller may read.
#[utoipa::path(
    post, path = "/v1/conversations/{key}/token", tag = CHAT, operation_id = "createConversationToken",
    security(("key" = ["read"])), params(ConversationName), request_body(content = Option<Wish>),
    responses((status = 200, description = "Good for this one conversation", body = Minted), Problems),
)]
pub(super) async fn create(
    caller: Authorized<Read>,
    State(services): State<Services>,
    Path(name): Path<String>,
    headers: HeaderMap,
    payload: Body,
) -> Result<Json<Minted>, Problem> {
    let tokens = services.tokens.as_ref().ok_or_else(token::off)?;
    let wish = body::read(&headers, payload, token::LARGEST).await?;
    let conversation = reader::find(&services, &caller.access, &name).await?.ok_or_else(reader::not_found)?;
    let subject = conversation.as_str();
    tokens.mint(Purpose::Conversation, subject, caller.access.caller(), token::life(&wish)?).map(Json)
}
