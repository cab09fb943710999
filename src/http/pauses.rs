//! `GET /v1/pauses`, and `POST /v1/stages/{name}/pause`, `/resume`, the same below `/v1/tenants`.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::Services;
use super::auth::{self, Access, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::problems;
use super::parameters;
use super::problem::{self, Problem};
use crate::model::Tenant;
use crate::model::letter::StageName;
use crate::pipeline::NotPaused;
use crate::store::pauses::{Pausable, Paused};

problems!(Listing: auth::PROBLEMS, problem::ANY);
problems!(
    OfStages: auth::PROBLEMS, problem::ANY,
    [Code::BadRequest, Code::OperatorsOnly, Code::StageNotFound, Code::InvalidParameter]
);
problems!(OfTenants: auth::PROBLEMS, problem::ANY, [Code::BadRequest, Code::TenantNotFound, Code::InvalidParameter]);

/// What is paused.
#[derive(Serialize, ToSchema)]
pub(super) struct Pauses {
    items: Vec<Pause>,
}

/// A pause that holds: of a stage, or of a tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct Pause {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<StageName>, nullable = false)]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// Who paused it: `http:<caller>`, `cli:<user>`
    who: String,
    at: Timestamp,
    /// What they said about it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    why: Option<String>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = PauseOutcome)]
pub(super) struct Outcome {
    /// `already_…`: nothing changed
    outcome: Word,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PauseWord)]
enum Word {
    Paused,
    AlreadyPaused,
    Resumed,
    AlreadyResumed,
}

/// `{name}`, and `?why=`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read as documentation")]
struct Why {
    /// What is to be said about it, for whoever finds it paused; at most 500 bytes
    #[param(max_length = 500)]
    why: Option<String>,
}

/// `/v1/stages/{name}`.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is read as documentation")]
struct OfStage {
    #[param(inline)]
    name: StageName,
}

/// `/v1/tenants/{name}`.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is read as documentation")]
struct OfTenant {
    /// The tenant
    #[param(min_length = 1)]
    name: String,
}

/// Lists what is paused; of tenants those that the caller sees.
#[utoipa::path(
    get, path = "/v1/pauses", tag = OPERATOR, operation_id = "listPauses", security(("key" = ["ops"])),
    responses((status = 200, description = "What is paused", body = Pauses), Listing),
)]
pub(super) async fn list(caller: Authorized<Ops>, State(services): State<Services>) -> Result<Json<Pauses>, Problem> {
    let pauses = services.pauses.list().await?;
    let items = pauses.into_iter().filter_map(|pause| Pause::seen(pause, &caller.access)).collect();
    Ok(Json(Pauses { items }))
}

/// Holds a stage back, on every replica: it begins nothing new.
#[utoipa::path(
    post, path = "/v1/stages/{name}/pause", tag = OPERATOR, operation_id = "pauseStage", security(("key" = ["ops"])),
    params(OfStage, Why), responses((status = 200, description = "It is paused", body = Outcome), OfStages),
)]
pub(super) async fn pause_stage(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Outcome>, Problem> {
    caller.access.of_everybody()?;
    pause(&services, &caller.access, services.pauses.stage(&name)?, query.as_deref()).await
}

/// Lets a stage go on.
#[utoipa::path(
    post, path = "/v1/stages/{name}/resume", tag = OPERATOR, operation_id = "resumeStage", security(("key" = ["ops"])),
    params(OfStage), responses((status = 200, description = "It goes on", body = Outcome), OfStages),
)]
pub(super) async fn resume_stage(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(name): Path<String>,
) -> Result<Json<Outcome>, Problem> {
    caller.access.of_everybody()?;
    resume(&services, &caller.access, &services.pauses.stage(&name)?).await
}

/// Holds a tenant back: its prompts are accepted, and wait. A caller with a tenant may do that to its own.
#[utoipa::path(
    post, path = "/v1/tenants/{name}/pause", tag = OPERATOR, operation_id = "pauseTenant", security(("key" = ["ops"])),
    params(OfTenant, Why), responses((status = 200, description = "It is paused", body = Outcome), OfTenants),
)]
pub(super) async fn pause_tenant(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Outcome>, Problem> {
    pause(&services, &caller.access, tenant(&services, &caller.access, &name)?, query.as_deref()).await
}

/// Lets a tenant go on.
#[utoipa::path(
    post, path = "/v1/tenants/{name}/resume", tag = OPERATOR, operation_id = "resumeTenant", security(("key" = ["ops"])),
    params(OfTenant), responses((status = 200, description = "It goes on", body = Outcome), OfTenants),
)]
pub(super) async fn resume_tenant(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(name): Path<String>,
) -> Result<Json<Outcome>, Problem> {
    resume(&services, &caller.access, &tenant(&services, &caller.access, &name)?).await
}

fn tenant(services: &Services, access: &Access, name: &str) -> Result<Pausable, Problem> {
    let seen = access.sees_tenant(&Tenant::new(Some(name)));
    let what = if seen { services.pauses.tenant(name) } else { Err(NotPaused::NoTenant) };
    what.map_err(Problem::from)
}

async fn pause(
    services: &Services,
    access: &Access,
    what: Pausable,
    query: Option<&str>,
) -> Result<Json<Outcome>, Problem> {
    let why = parameters::of(query, &["why"])?.remove("why").filter(|why| !why.is_empty());
    let news = services.pauses.pause(what, &access.who(), why).await?;
    Ok(Json(Outcome { outcome: if news { Word::Paused } else { Word::AlreadyPaused } }))
}

async fn resume(services: &Services, access: &Access, what: &Pausable) -> Result<Json<Outcome>, Problem> {
    let news = services.pauses.resume(what, &access.who()).await?;
    Ok(Json(Outcome { outcome: if news { Word::Resumed } else { Word::AlreadyResumed } }))
}

impl Pause {
    fn seen(Paused { what, note }: Paused, access: &Access) -> Option<Self> {
        let (stage, tenant) = match what {
            Pausable::Stage(stream) => (Some(stream.stage()), None),
            Pausable::Tenant(tenant) if access.sees_tenant(&tenant) => (None, Some(tenant.as_str().to_owned())),
            Pausable::Tenant(_) => return None,
        };
        Some(Self { stage, tenant, who: note.who, at: note.at, why: note.why })
    }
}

impl From<NotPaused> for Problem {
    fn from(error: NotPaused) -> Self {
        match error {
            NotPaused::NoStage => Self::new(Code::StageNotFound, "there is no such stage"),
            NotPaused::NoTenant => Self::new(Code::TenantNotFound, "there is no such tenant"),
            NotPaused::LongReason => parameters::wrong("why", "must have at most 500 bytes"),
            NotPaused::Store(error) => error.into(),
        }
    }
}
