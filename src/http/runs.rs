//! `/v1/dead-letter-runs`: many dead letters, replayed or discarded at once.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::auth::{self, Access, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::params::RunName;
use super::contract::problems;
use super::problem::{self, Problem};
use super::wanted::{self, Wanted};
use super::{Services, body, parameters};
use crate::model::fields::Fields;
use crate::model::letter::LetterFilter;
use crate::model::prompt::FieldError;
use crate::model::run::{Action, Order, Run, WholeRun};

/// Runs on a page, unless told otherwise, and at most.
const USUAL: usize = 50;
const MOST: usize = 200;
/// Largest body.
const LARGEST: usize = 64 * 1024;

problems!(Created: auth::PROBLEMS, body::PROBLEMS, problem::ANY, [Code::MalformedJson, Code::InvalidRun], wanted::PROBLEMS);
problems!(Unlisted: auth::PROBLEMS, problem::ANY, [Code::InvalidParameter]);
problems!(Unshown: auth::PROBLEMS, problem::ANY, [Code::BadRequest, Code::RunNotFound]);

/// What to do, and with which letters. What is `null` counts as left out.
#[derive(ToSchema)]
#[schema(as = NewDeadLetterRun)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is read as a schema")]
struct NewRun {
    action: Action,
    /// As the parameters of the list of letters; left out: every open letter
    filter: Option<LetterFilter>,
    /// Letters a second, 100 unless told otherwise; 0: as fast as it goes
    #[schema(minimum = 0, maximum = 1_000_000)]
    rate: Option<u32>,
    /// Whether nothing is changed: what fits is counted
    dry_run: Option<bool>,
}

/// A page. `nextCursor` is `null` on the last.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetterRuns)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    items: Vec<Run>,
    /// A page may be short, even empty, before the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The parameters that [`list`] takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read as documentation")]
struct Known {
    /// `nextCursor` of the page before
    #[param(pattern = "^[0-9]{1,19}\\..+$")]
    cursor: Option<String>,
    /// 50 unless told otherwise
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Asks for a run over the letters of the caller's tenant, or of all. It goes on by itself; see how far it is.
#[utoipa::path(
    post, path = "/v1/dead-letter-runs", tag = OPERATOR, operation_id = "createDeadLetterRun",
    security(("key" = ["ops"])), request_body(content = NewRun, description = "At most 64 KiB"),
    responses((status = 202, description = "It goes on", body = Run), Created),
)]
pub(super) async fn create(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    headers: HeaderMap,
    payload: Body,
) -> Result<(StatusCode, Json<Run>), Problem> {
    let bytes = body::read(&headers, payload, LARGEST).await?;
    let (mut order, wanted) = parse(&bytes)?;
    order.filter = wanted.of(&services, &caller.access).await??;
    let run = services.runs.create(order, &caller.access.who()).await?;
    Ok((StatusCode::ACCEPTED, Json(run)))
}

/// Lists the runs over the letters of the caller's tenant, or all, the newest first.
#[utoipa::path(
    get, path = "/v1/dead-letter-runs", tag = OPERATOR, operation_id = "listDeadLetterRuns",
    security(("key" = ["ops"])), params(Known),
    responses((status = 200, description = "A page", body = Listed), Unlisted),
)]
pub(super) async fn list(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listed>, Problem> {
    let (cursor, limit) = parameters::page(query.as_deref(), USUAL, MOST)?;
    // Who sees all tenants' letters asks for those of none in particular.
    let of = caller.access.letters_of(None).unwrap_or_default();
    let page = services.store.runs(of.as_ref(), cursor, limit).await?;
    Ok(Json(Listed { items: page.items, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}

/// Shows a run: how far it is, what came of it, which causes it met.
#[utoipa::path(
    get, path = "/v1/dead-letter-runs/{id}", tag = OPERATOR, operation_id = "getDeadLetterRun",
    security(("key" = ["ops"])), params(RunName),
    responses((status = 200, description = "The run", body = WholeRun), Unshown),
)]
pub(super) async fn show(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<WholeRun>, Problem> {
    visible(&services, &caller.access, &id).await.map(Json)
}

/// Stops a run; what it decided on stays decided. One that has ended stays as it is.
#[utoipa::path(
    post, path = "/v1/dead-letter-runs/{id}/stop", tag = OPERATOR, operation_id = "stopDeadLetterRun",
    security(("key" = ["ops"])), params(RunName),
    responses((status = 200, description = "The run", body = WholeRun), Unshown),
)]
pub(super) async fn stop(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Json<WholeRun>, Problem> {
    visible(&services, &caller.access, &id).await?;
    services.runs.stop(&id, &caller.access.who()).await?.map(Json).ok_or_else(not_found)
}

/// A run that the caller may know of.
pub(super) async fn visible(services: &Services, access: &Access, id: &str) -> Result<WholeRun, Problem> {
    let seen = |whole: &WholeRun| match access.letters_of(None) {
        Ok(Some(own)) => whole.run.order.filter.tenant == Some(own),
        _ => true,
    };
    services.store.run(id).await?.filter(seen).ok_or_else(not_found)
}

fn not_found() -> Problem {
    Problem::new(Code::RunNotFound, "there is no such run")
}

fn parse(bytes: &[u8]) -> Result<(Order, Wanted), Problem> {
    let body: Value = serde_json::from_slice(bytes).map_err(|_| Problem::malformed())?;
    let invalid = |errors| Problem::fields(Code::InvalidRun, errors);
    let Value::Object(object) = body else {
        return Err(invalid(vec![FieldError::whole("must be an object")]));
    };
    let mut fields = Fields::new("", object);
    let action = fields.take("action").and_then(|action| serde_json::from_value::<Action>(action).ok());
    if action.is_none() {
        fields.wrong("action", "must be replay or discard");
    }
    let rate = fields.integer("rate", 0, 1_000_000).and_then(|rate| u32::try_from(rate).ok());
    let dry_run = fields.flag("dryRun").unwrap_or_default();
    let mut wanted = Wanted::default();
    for (name, value) in fields.object("filter").unwrap_or_default() {
        let taken = match value {
            Value::Null => Ok(()),
            Value::String(text) => wanted.take(&name, &text),
            _ if wanted::KNOWN.contains(&name.as_str()) => Err("must be a string".to_owned()),
            _ => wanted.take(&name, ""),
        };
        if let Err(detail) = taken {
            fields.errors.push(FieldError::at("/filter", &name, detail));
        }
    }
    match (action, fields.finish(&["action", "filter", "rate", "dryRun"])) {
        (Some(action), errors) if errors.is_empty() => {
            let filter = LetterFilter::default();
            Ok((Order { action, filter, rate: rate.unwrap_or(Order::RATE), dry_run }, wanted))
        }
        (_, errors) => Err(invalid(errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::letters::Cursor;

    fn pointers(body: &str) -> Vec<String> {
        let document = serde_json::to_value(parse(body.as_bytes()).unwrap_err().errors).unwrap();
        document.as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_is_wrong_is_named_at_once() {
        assert_eq!(pointers("[]"), [""]);
        assert_eq!(pointers("{}"), ["/action"]);
        let wrong = r#"{"action": "repaly", "rate": -1, "dryRun": "yes", "filter": {"stage": "x", "tenant": 1, "text": "", "fliter": ""}}"#;
        let mut found = pointers(wrong);
        found.sort();
        assert_eq!(
            found,
            ["/action", "/dryRun", "/filter/fliter", "/filter/stage", "/filter/tenant", "/filter/text", "/rate"]
        );
        let (order, _) = parse(br#"{"action": "discard", "filter": null}"#).unwrap();
        assert_eq!((order.action, order.rate, order.dry_run), (Action::Discard, 100, false));
        let page = |query| parameters::page::<Cursor>(Some(query), USUAL, MOST);
        assert_eq!(page("limit=201").unwrap_err().status.as_u16(), 422);
        assert_eq!(page("limit=2&limit=2").unwrap_err().status.as_u16(), 422);
        assert_eq!(page("cursor=7.a&limit=2").unwrap(), ("7.a".parse().ok(), 2));
    }
}
