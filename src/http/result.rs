//! `GET /v1/prompts/{id}/result`: an answer whole, also where its entry only refers to it.
//!
//! Omni's result as it came where it was stored beside the entry, otherwise the members of it that the entry holds.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;

use super::auth::{self, Authorized, Read};
use super::code::Code;
use super::contract::openapi::CHAT;
use super::contract::params::PromptName;
use super::contract::problems;
use super::problem::{self, Problem};
use super::{Services, prompt};
use crate::model::EntryType;
use crate::store::StoreError;
use crate::store::conversation::Stored;

/// What an entry's `data` has of Omni's result.
const MEMBERS: [&str; 4] = ["message", "topic", "actions", "omniChatUrl"];
const CORRUPT: StoreError = StoreError::Corrupt { what: "an answer's data" };

problems!(Problems: auth::PROBLEMS, problem::ANY, prompt::NAMED, [Code::ResultNotFound]);

/// Shows the result of an answered prompt of the caller's tenant.
#[utoipa::path(
    get, path = "/v1/prompts/{id}/result", tag = CHAT, operation_id = "getResult", security(("key" = ["read"])),
    params(PromptName),
    responses(
        (status = 200, body = Object, content_type = "application/json",
            description = "Omni's result as it came, or its members `message`, `topic`, `actions` and `omniChatUrl`"),
        Problems,
    ),
)]
pub(super) async fn show(
    caller: Authorized<Read>,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let record = prompt::named(&services, &caller.access, &id).await?;
    let store = &services.store;
    let entry = match store.terminal_entry(&record.conversation, record.id).await? {
        None => return Err(missing("there is no answer yet")),
        Some((EntryType::Answer, entry)) => entry,
        Some(_) => return Err(missing("the prompt ended without an answer")),
    };
    if let Some(whole) = store.result(&record.conversation, record.id).await? {
        return Ok(json(whole));
    }
    let entry = store.entry(&record.conversation, &entry).await?;
    match entry.map(|entry| of_entry(&entry)).transpose()?.flatten() {
        Some(result) => Ok(json(result)),
        None => Err(missing("the answer is not kept any more")),
    }
}

/// `None` where the entry only refers to the result.
fn of_entry(entry: &Stored) -> Result<Option<String>, StoreError> {
    let data = entry.fields.iter().find(|(name, _)| name == "data").map(|(_, data)| data).ok_or(CORRUPT)?;
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(data).map_err(|_| CORRUPT)?;
    if members.contains_key("resultRef") {
        return Ok(None);
    }
    members.retain(|name, _| MEMBERS.contains(&name.as_str()));
    serde_json::to_string(&members).map(Some).map_err(|_| CORRUPT)
}

fn json(text: String) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], Body::from(text)).into_response()
}

fn missing(detail: &'static str) -> Problem {
    Problem::new(Code::ResultNotFound, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(data: &str) -> Stored {
        Stored {
            id: "1-0".to_owned(),
            kind: "omni.answer".to_owned(),
            fields: vec![("type".to_owned(), "omni.answer".to_owned()), ("data".to_owned(), data.to_owned())],
            event: RawValue::NULL.to_owned(),
        }
    }

    #[test]
    fn an_entry_has_omni_s_members_as_they_stand_and_ours_are_left_out() {
        let data = r#"{"promptId":"p","message":"m","actions":[{"n":1.50}],"partial":false,"metadata":{}}"#;
        assert_eq!(of_entry(&entry(data)).unwrap().unwrap(), r#"{"actions":[{"n":1.50}],"message":"m"}"#);
        let refers = r#"{"message":"m","resultRef":{"key":"k","bytes":7}}"#;
        assert_eq!(of_entry(&entry(refers)).unwrap(), None, "part of a result is none");
        assert!(of_entry(&entry("[]")).is_err());
    }
}
