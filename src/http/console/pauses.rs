//! `/console/pauses`: holds stages and tenants back, and has them go on. The overview shows what is held back.

use axum::Form;
use axum::extract::State;
use axum::response::Redirect;
use serde::Deserialize;

use super::session::Changer;
use crate::http::Services;
use crate::http::problem::Problem;
use crate::store::pauses::Pausable;

/// What is to change.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// A stage's name; else a tenant is meant.
    #[serde(default)]
    stage: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    why: String,
}

pub(super) async fn pause(
    Changer(operator): Changer,
    State(services): State<Services>,
    Form(asked): Form<Asked>,
) -> Result<Redirect, Problem> {
    operator.access.of_everybody()?;
    let why = Some(asked.why.trim().to_owned()).filter(|why| !why.is_empty());
    services.pauses.pause(what(&services, &asked)?, &operator.who(), why).await?;
    Ok(Redirect::to("/console"))
}

pub(super) async fn resume(
    Changer(operator): Changer,
    State(services): State<Services>,
    Form(asked): Form<Asked>,
) -> Result<Redirect, Problem> {
    operator.access.of_everybody()?;
    services.pauses.resume(&what(&services, &asked)?, &operator.who()).await?;
    Ok(Redirect::to("/console"))
}

fn what(services: &Services, asked: &Asked) -> Result<Pausable, Problem> {
    let what = match asked.stage.as_str() {
        "" => services.pauses.tenant(&asked.tenant),
        stage => services.pauses.stage(stage),
    };
    what.map_err(Problem::from)
}
