//! `POST /v1/conversations/{key}/token`: a short-lived token with which a browser reads that one conversation.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::auth::{Authorized, Read};
use super::problem::Problem;
use super::token::{Minted, Purpose};
use super::{Services, body, reader};

/// Makes a token for a conversation that its caller may read.
pub(super) async fn create(
    caller: Authorized<Read>,
    State(services): State<Services>,
    Path(name): Path<String>,
    headers: HeaderMap,
    payload: Body,
) -> Result<Json<Minted>, Problem> {
    let tokens = services.tokens.as_ref().ok_or_else(super::token::off)?;
    let wish = body::read(&headers, payload, body::LARGEST).await?;
    let conversation = reader::find(&services, &caller.access, &name).await?.ok_or_else(reader::not_found)?;
    let subject = conversation.as_str();
    tokens.mint(Purpose::Conversation, subject, caller.access.caller(), &wish).map(Json)
}
