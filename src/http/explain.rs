//! `GET /v1/explain/{id}`: what happened to anything, and what happens next.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use utoipa::IntoParams;

use super::auth::{self, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::problems;
use super::problem::{self, Problem};
use super::{Services, parameters};
use crate::model::Tenant;
use crate::pipeline::story::Story;

problems!(Problems: auth::PROBLEMS, problem::ANY, [Code::BadRequest, Code::NothingKnown, Code::InvalidParameter]);

/// `/v1/explain/{id}`.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is read as documentation")]
struct Named {
    /// A prompt, a job, an event of Omni's, an entry, a dead letter, a conversation or an idempotency key. `prompt:`, `job:`,
    /// `event:`, `conversation:` or `idempotency:` before it says which
    #[param(min_length = 1)]
    id: String,
}

/// `?tenant=`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read as documentation")]
struct Whose {
    /// Whose conversation or idempotency key it is, for who sees all; else the caller's
    tenant: Option<String>,
}

/// Tells the story of whatever this id names, of the caller's tenant.
#[utoipa::path(
    get, path = "/v1/explain/{id}", tag = OPERATOR, operation_id = "explain", security(("key" = ["ops"])),
    params(Named, Whose), responses((status = 200, description = "The story", body = Story), Problems),
)]
pub(super) async fn explain(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Story>, Problem> {
    let wanted = parameters::of(query.as_deref(), &["tenant"])?.remove("tenant");
    let tenant = wanted.map_or_else(|| caller.access.tenant.clone(), |name| Tenant::new(Some(&name)));
    let visible = caller.access.sees_tenant(&tenant);
    let story = if visible { services.explainer.explain(&id, &tenant).await? } else { None };
    let seen = story.filter(|story| caller.access.sees_tenant(story.owner()));
    seen.map(Json).ok_or_else(|| Problem::new(Code::NothingKnown, "nothing is known of this id"))
}
