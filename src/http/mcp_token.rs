//! `POST /v1/users/{externalId}/mcp-token`: a short-lived token with which an agent acts for that user through the MCP
//! gateway. Whether Omni knows the user is found out when the token is used.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::auth::{self, Authorized, Mcp};
use super::code::Code;
use super::contract::openapi::CHAT;
use super::contract::problems;
use super::problem::{self, Problem};
use super::token::{self, Minted, Purpose, Wish};
use super::{Services, body, parameters};
use crate::model::user::MAX_EXTERNAL_ID;

problems!(
    Problems: auth::PROBLEMS, body::PROBLEMS, problem::ANY, token::PROBLEMS, [Code::InvalidParameter]
);

/// Makes a token for a user's agent.
#[utoipa::path(
    post, path = "/v1/users/{externalId}/mcp-token", tag = CHAT, operation_id = "createMcpToken",
    security(("key" = ["mcp"])), request_body(content = Option<Wish>),
    params(("externalId" = String, Path, min_length = 1, max_length = 512, description = "Your id of the user")),
    responses((status = 200, description = "Good for acting for this user", body = Minted), Problems),
)]
pub(super) async fn create(
    caller: Authorized<Mcp>,
    State(services): State<Services>,
    Path(external_id): Path<String>,
    headers: HeaderMap,
    payload: Body,
) -> Result<Json<Minted>, Problem> {
    let tokens = services.tokens.as_ref().ok_or_else(token::off)?;
    if !(1..=MAX_EXTERNAL_ID).contains(&external_id.len()) {
        return Err(parameters::wrong("externalId", format!("must be 1 to {MAX_EXTERNAL_ID} bytes")));
    }
    let wish = body::read(&headers, payload, token::LARGEST).await?;
    tokens.mint(Purpose::Mcp, &external_id, caller.access.caller(), token::life(&wish)?).map(Json)
}
