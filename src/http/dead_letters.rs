//! `GET /v1/dead-letters`: open letters by time, newest first, page by page.
//!
//! A page may hold fewer letters than asked for, even none, and still have a `nextCursor`: only its absence is the end.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Services;
use super::auth::{self, Authorized, Ops};
use super::code::Code;
use super::contract::openapi::OPERATOR;
use super::contract::problems;
use super::problem::{self, Problem};
use super::wanted::Wanted;
use crate::model::Reason;
use crate::model::letter::{Letter, StageName};
use crate::model::prompt::FieldError;
use crate::store::letters::Cursor;

/// Letters on a page, unless told otherwise, and at most.
const USUAL: usize = 50;
const MOST: usize = 200;
const KNOWN: &str =
    "stage, reason, tenant, since, until, text, promptId, jobId, conversation, fingerprint, cursor, limit";

problems!(Problems: auth::PROBLEMS, problem::ANY, [Code::InvalidParameter]);

/// A page. `nextCursor` is `null` on the last.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetters)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    items: Vec<Letter>,
    /// A page may be short, even empty, before the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    wanted: Wanted,
    cursor: Option<Cursor>,
    limit: Option<usize>,
}

/// The parameters that [`parse`] takes.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read as documentation")]
struct Known {
    /// The stage it died in
    #[param(inline)]
    stage: Option<StageName>,
    #[param(inline)]
    reason: Option<Reason>,
    /// Whose it is; empty: nobody's
    tenant: Option<String>,
    /// Died last at this time or later
    since: Option<Timestamp>,
    /// Died last before this time
    until: Option<Timestamp>,
    /// Part of the error
    #[param(min_length = 1)]
    text: Option<String>,
    prompt_id: Option<Uuid>,
    job_id: Option<Uuid>,
    conversation: Option<String>,
    /// The same for letters of one cause
    fingerprint: Option<String>,
    /// `nextCursor` of the page before
    #[param(pattern = "^[0-9]{1,19}\\..+$")]
    cursor: Option<String>,
    /// 50 unless told otherwise
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Lists the letters of the caller's tenant, or of all, the newest first.
#[utoipa::path(
    get, path = "/v1/dead-letters", tag = OPERATOR, operation_id = "listDeadLetters", security(("key" = ["ops"])),
    params(Known),
    responses((status = 200, description = "A page", body = Listed), Problems),
)]
pub(super) async fn list(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listed>, Problem> {
    let Query { wanted, cursor, limit } = parse(query.as_deref().unwrap_or_default())?;
    // What the caller may not see is not told from what is not there.
    let Ok(filter) = wanted.of(&services, &caller.access).await? else {
        return Ok(Json(Listed { items: Vec::new(), next_cursor: None }));
    };
    let page = services.store.letters(&filter, cursor, limit.unwrap_or(USUAL)).await?;
    Ok(Json(Listed { items: page.items, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}

fn parse(query: &str) -> Result<Query, Problem> {
    let (mut parsed, mut errors, mut seen) = (Query::default(), Vec::new(), Vec::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let taken =
            if seen.contains(&name) { Err("must be given once".to_owned()) } else { parsed.take(&name, &value) };
        if let Err(detail) = taken {
            errors.push(FieldError::at("", &name, detail));
        }
        seen.push(name);
    }
    if errors.is_empty() { Ok(parsed) } else { Err(Problem::fields(Code::InvalidParameter, errors)) }
}

impl Query {
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "cursor" => {
                self.cursor = Some(value.parse().map_err(|()| "must be the nextCursor of a page".to_owned())?);
            }
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=MOST).contains(number));
                self.limit = Some(number.ok_or_else(|| format!("must be a whole number from 1 to {MOST}"))?);
            }
            _ if !KNOWN.split(", ").any(|known| known == name) => {
                return Err(format!("is not a known parameter; known are {KNOWN}"));
            }
            _ => self.wanted.take(name, value)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_parameter_is_taken() {
        let id = "22222222-2222-4222-8222-222222222222";
        for name in KNOWN.split(", ") {
            let value = match name {
                "stage" => "process",
                "reason" => "poison",
                "since" | "until" => "2026-01-02T03:04:05Z",
                "promptId" | "jobId" => id,
                "cursor" => "1.a",
                "limit" => "200",
                _ => "x",
            };
            assert_ne!(parse(&format!("{name}={value}")).unwrap(), Query::default(), "{name}");
            assert_eq!(parse(&format!("{name}={value}&{name}={value}")).unwrap_err().status.as_u16(), 422, "{name}");
        }
        assert_eq!(parse("").unwrap(), Query::default());
    }

    #[test]
    fn what_is_described_is_what_is_known() {
        let described = Known::into_params(|| None).into_iter().map(|parameter| parameter.name);
        assert_eq!(described.collect::<Vec<_>>(), KNOWN.split(", ").collect::<Vec<_>>());
    }

    #[test]
    fn what_nothing_can_fit_is_told() {
        for wrong in [
            "stage=proces",
            "reason=dead",
            "since=yesterday",
            "until=1",
            "promptId=x",
            "jobId=1",
            "cursor=1",
            "limit=0",
            "limit=201",
            "limit=",
            "stgae=submit",
            "cursor=",
            "text=",
        ] {
            assert_eq!(parse(wrong).unwrap_err().status.as_u16(), 422, "{wrong}");
        }
    }
}
