//! `GET /v1/dead-letters`: open letters by time, newest first, page by page.
//!
//! A page may hold fewer letters than asked for, even none, and still have a `nextCursor`: only its absence is the end.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use serde::Serialize;
use url::form_urlencoded;
use uuid::Uuid;

use super::Services;
use super::auth::{Access, Authorized, Ops};
use super::problem::Problem;
use crate::model::letter::{Letter, LetterFilter};
use crate::model::prompt::FieldError;
use crate::model::{Conversation, Reason, Tenant};
use crate::store::StoreError;
use crate::store::delivery::Stream;
use crate::store::letters::Cursor;

/// Letters on a page, unless told otherwise, and at most.
const USUAL: usize = 50;
const MOST: usize = 200;
const KNOWN: &str =
    "stage, reason, tenant, since, until, text, promptId, jobId, conversation, fingerprint, cursor, limit";

/// A page. `nextCursor` is `null` on the last.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    items: Vec<Letter>,
    next_cursor: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    filter: LetterFilter,
    conversation: Option<String>,
    cursor: Option<Cursor>,
    limit: Option<usize>,
}

/// Lists the letters of the caller's tenant, or of all.
pub(super) async fn list(
    caller: Authorized<Ops>,
    State(services): State<Services>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listed>, Problem> {
    let Query { mut filter, conversation, cursor, limit } = parse(query.as_deref().unwrap_or_default())?;
    let nothing = || Ok(Json(Listed { items: Vec::new(), next_cursor: None }));
    let Ok(tenant) = caller.access.letters_of(filter.tenant.take()) else { return nothing() };
    if let Some(name) = conversation {
        filter.conversation = named(&services, &caller.access, tenant.as_ref(), &name).await?;
        if filter.conversation.is_none() {
            return nothing();
        }
    }
    filter.tenant = tenant;
    let page = services.store.letters(&filter, cursor, limit.unwrap_or(USUAL)).await?;
    Ok(Json(Listed { items: page.items, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}

/// The conversation by its caller's name for it (of `tenant`, where one is named), by its full name, or by Omni's.
async fn named(
    services: &Services,
    access: &Access,
    tenant: Option<&Tenant>,
    name: &str,
) -> Result<Option<Conversation>, StoreError> {
    if let Ok(id) = Uuid::try_parse(name)
        && let Some(known) = services.store.conversation_of(id).await?.filter(|known| access.sees(known))
    {
        return Ok(Some(known));
    }
    let of_tenant = tenant.and_then(|tenant| Conversation::new(tenant, name));
    Ok(of_tenant.or_else(|| access.conversation(name)))
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
    if errors.is_empty() { Ok(parsed) } else { Err(Problem::fields("invalid_parameter", errors)) }
}

impl Query {
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || Some(value.to_owned());
        let time = || value.parse::<Timestamp>().map(Some).map_err(|_| "must be a time, RFC 3339".to_owned());
        let uuid = || Uuid::try_parse(value).map(|id| Some(id.to_string())).map_err(|_| "must be a UUID".to_owned());
        match name {
            "stage" if Stream::of_stage(value).is_none() => return Err("must be intake, submit or process".to_owned()),
            "stage" => self.filter.stage = text(),
            "reason" if !is_reason(value) => return Err("must be a reason that letters have".to_owned()),
            "reason" => self.filter.reason = text(),
            "tenant" => self.filter.tenant = Some(Tenant::new(Some(value))),
            "since" => self.filter.since = time()?,
            "until" => self.filter.until = time()?,
            "text" => self.filter.text = text(),
            "promptId" => self.filter.prompt_id = uuid()?,
            "jobId" => self.filter.job_id = uuid()?,
            "conversation" => self.conversation = text(),
            "fingerprint" => self.filter.fingerprint = text(),
            "cursor" => {
                self.cursor = Some(value.parse().map_err(|()| "must be the nextCursor of a page".to_owned())?);
            }
            "limit" => {
                let number = value.parse().ok().filter(|number| (1..=MOST).contains(number));
                self.limit = Some(number.ok_or_else(|| format!("must be a whole number from 1 to {MOST}"))?);
            }
            _ => return Err(format!("is not a known parameter; known are {KNOWN}")),
        }
        Ok(())
    }
}

fn is_reason(word: &str) -> bool {
    serde_json::from_value::<Reason>(word.into()).is_ok()
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
        ] {
            assert_eq!(parse(wrong).unwrap_err().status.as_u16(), 422, "{wrong}");
        }
    }
}
