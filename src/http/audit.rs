//! `GET /v1/audit`: who changed what, the newest first.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::auth::{self, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::problems;
use super::problem::{self, Problem};
use super::{Services, parameters};
use crate::store::audit::Audited;

/// Changes on a page, unless told otherwise, and at most.
const USUAL: usize = 50;
const MOST: usize = 200;

problems!(Problems: auth::PROBLEMS, problem::ANY, [Code::OperatorsOnly, Code::InvalidParameter]);

/// A page. `nextCursor` is `null` on the last.
#[derive(Serialize, ToSchema)]
#[schema(as = Audit)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    items: Vec<Audited>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The parameters.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read as documentation")]
struct Known {
    /// The `nextCursor` of the page before
    #[param(pattern = "^[0-9]{1,19}-[0-9]{1,19}$")]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Lists what people changed in the last 90 days. For callers who see all tenants.
#[utoipa::path(
    get, path = "/v1/audit", tag = OPERATOR, operation_id = "listAudit", security(("key" = ["ops"])), params(Known),
    responses((status = 200, description = "A page", body = Page), Problems),
)]
pub(super) async fn list(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page>, Problem> {
    caller.access.of_everybody()?;
    let (cursor, limit) = parameters::page(query.as_deref(), USUAL, MOST)?;
    let (items, next) = services.store.audit(cursor, limit).await?;
    Ok(Json(Page { items, next_cursor: next.map(|place| place.to_string()) }))
}
