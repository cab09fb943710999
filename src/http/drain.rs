//! `POST /drain`, on `http.admin_listen`: this replica begins nothing new, and finishes what it holds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Own;
use super::auth::{self, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::problems;
use super::problem::{self, Problem};

problems!(Problems: auth::PROBLEMS, problem::ANY, [Code::OperatorsOnly]);

/// How far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Drained)]
#[serde(rename_all = "camelCase")]
pub(super) struct Drained {
    /// What is still being handled; with 0 the replica holds nothing
    in_work: usize,
}

/// Drains this replica until it is started again. It goes on answering, webhooks too, and is not ready. Safe to repeat, to see
/// how far it is.
#[utoipa::path(
    post, path = "/drain", tag = OPERATOR, operation_id = "drain", security(("key" = ["ops"])),
    responses((status = 200, description = "It begins nothing new", body = Drained), Problems),
)]
pub(super) async fn drain(caller: Authorized<Ops>, State(own): State<Arc<Own>>) -> Result<Json<Drained>, Problem> {
    caller.access.of_everybody()?;
    own.switch.drain(&caller.access.who());
    Ok(Json(Drained { in_work: own.switch.in_work() }))
}
