//! Find the Omni user behind an external id, by SCIM.

use std::collections::HashMap;

use reqwest::Method;
use serde::Deserialize;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::OmniError;
use super::lenient::{self, Member};

const PAGE: usize = 200;
/// Pages are needed only where Omni ignores the filter.
const MOST_PAGES: usize = 10;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(rename = "Resources", borrow, default)]
    resources: Vec<Row<'a>>,
    #[serde(rename = "itemsPerPage", borrow)]
    size: Member<'a>,
    #[serde(rename = "totalResults", borrow)]
    total: Member<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    id: Member<'a>,
    #[serde(borrow)]
    embed_external_id: Member<'a>,
    #[serde(borrow)]
    active: Member<'a>,
}

impl Omni {
    /// The id to act for (`userId`), or nothing when no such user exists. Costs one request, and up to ten where Omni
    /// ignores the filter. Every row is compared here, exactly: Omni's filter is a help, not a proof.
    pub async fn find_user(&self, key: &ApiKey, external_id: &str) -> Result<Option<Uuid>, OmniError> {
        let filter = format!("embedExternalId eq \"{}\"", escape(external_id));
        let mut start = 1;
        for _ in 0..MOST_PAGES {
            let request = self.request(Method::GET, key, "/api/scim/v2/embed/Users").query(&[
                ("filter", filter.as_str()),
                ("count", &PAGE.to_string()),
                ("startIndex", &start.to_string()),
            ]);
            let body = self.call(Operation::Users, request, MAX_ANSWER).await?;
            let page: Page<'_> =
                serde_json::from_slice(&body).map_err(|_| OmniError::BadBody { what: "the user list is no list" })?;
            if let Some(id) = page.only_match(external_id)? {
                return Ok(Some(id));
            }
            let rows = page.resources.len();
            let next = start + rows.max(lenient::count(page.size).unwrap_or(0));
            // Without a total, a page that is not full is the last one.
            let more = lenient::count(page.total).map_or(rows >= PAGE, |total| next <= total);
            if rows == 0 || !more {
                return Ok(None);
            }
            start = next;
        }
        Err(OmniError::UserListTooLong { seen: start - 1 })
    }
}

impl Page<'_> {
    fn only_match(&self, external_id: &str) -> Result<Option<Uuid>, OmniError> {
        let mut found = HashMap::new();
        for row in &self.resources {
            if lenient::text(row.embed_external_id).as_deref() == Some(external_id) {
                let id: Uuid = lenient::read(row.id).ok_or(OmniError::BadBody { what: "the user has no id" })?;
                // A row that comes twice is one user, active only if every copy says so.
                *found.entry(id).or_insert(true) &= lenient::read(row.active).unwrap_or(true);
            }
        }
        if found.len() > 1 {
            return Err(OmniError::AmbiguousUser);
        }
        match found.into_iter().next() {
            Some((_, false)) => Err(OmniError::InactiveUser),
            Some((id, true)) => Ok(Some(id)),
            None => Ok(None),
        }
    }
}

/// A value between the quotes of a SCIM filter.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_cannot_leave_the_filter() {
        assert_eq!(escape(r#"a"b\c"#), r#"a\"b\\c"#);
        assert_eq!(escape(r#"\" or userName eq "x"#), r#"\\\" or userName eq \"x"#);
        assert_eq!(escape("plain"), "plain");
    }
}
