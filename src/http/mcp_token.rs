//! `POST /v1/users/{externalId}/mcp-token`: a short-lived token with which an agent acts for that user through the MCP
//! gateway. Whether Omni knows the user is found out when the token is used.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::auth::{Authorized, Mcp};
use super::problem::Problem;
use super::token::{Minted, Purpose};
use super::{Services, body};
use crate::model::prompt::FieldError;
use crate::model::user::MAX_EXTERNAL_ID;

/// Makes a token for a user's agent.
pub(super) async fn create(
    caller: Authorized<Mcp>,
    State(services): State<Services>,
    Path(external_id): Path<String>,
    headers: HeaderMap,
    payload: Body,
) -> Result<Json<Minted>, Problem> {
    let tokens = services.tokens.as_ref().ok_or_else(super::token::off)?;
    if !(1..=MAX_EXTERNAL_ID).contains(&external_id.len()) {
        let detail = format!("must be 1 to {MAX_EXTERNAL_ID} bytes");
        return Err(Problem::fields("invalid_parameter", vec![FieldError::at("", "externalId", detail)]));
    }
    let wish = body::read(&headers, payload, body::LARGEST).await?;
    tokens.mint(Purpose::Mcp, &external_id, caller.access.caller(), &wish).map(Json)
}
