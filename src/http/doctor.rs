//! `POST /v1/doctor`: how everything is that the relay stands on. It asks Omni, and sends itself an event.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Services;
use super::auth::{self, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::problems;
use super::problem::{self, Problem};
use crate::pipeline::doctor::Check;

problems!(Problems: auth::PROBLEMS, problem::ANY, [Code::OperatorsOnly]);

/// What was seen.
#[derive(Serialize, ToSchema)]
pub(super) struct Examination {
    checks: Vec<Check>,
}

/// Examines everything. For callers who see all tenants.
#[utoipa::path(
    post, path = "/v1/doctor", tag = OPERATOR, operation_id = "examine", security(("key" = ["ops"])),
    responses((status = 200, description = "What was seen, well or not", body = Examination), Problems),
)]
pub(super) async fn examine(
    caller: Authorized<Ops>,
    State(services): State<Services>,
) -> Result<Json<Examination>, Problem> {
    caller.access.of_everybody()?;
    Ok(Json(Examination { checks: services.doctor.examine().await }))
}
