//! Find the Omni user behind an external id, by SCIM.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use reqwest::Method;
use serde::Deserialize;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::OmniError;
use super::lenient::{self, Member};

/// Documented in both spellings; instances know one of them.
const PATHS: [&str; 2] = ["/api/scim/v2/embed/Users", "/api/scim/v2/embed/users"];
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

/// How far a look-up has come; it begins at the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserSearch {
    start: usize,
    pages: usize,
    /// Whether the path is in lower case; `None`: as it was where it was known last.
    lower: Option<bool>,
}

impl Default for UserSearch {
    fn default() -> Self {
        Self { start: 1, pages: 0, lower: None }
    }
}

/// What one page of users shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserPage {
    /// The id to act for (`userId`).
    Found(Uuid),
    /// No such user exists.
    Nobody,
    /// Not here: Omni ignored the filter, and there is another page.
    More(UserSearch),
    /// Omni does not know the path. There is another spelling of it.
    Elsewhere(UserSearch),
}

impl Omni {
    /// Looks for a user: one request, and where Omni ignores the filter one more for each page, up to ten. Every row is
    /// compared here, exactly: Omni's filter is a help, not a proof. The spelling of the path that worked is the usual one from
    /// then on.
    pub async fn look_for_user(
        &self,
        key: &ApiKey,
        external_id: &str,
        search: UserSearch,
    ) -> Result<UserPage, OmniError> {
        let filter = format!("embedExternalId eq \"{}\"", escape(external_id));
        let lower = search.lower.unwrap_or_else(|| self.lower_users.load(Ordering::Relaxed));
        let request = self.request(Method::GET, key, PATHS[usize::from(lower)]).query(&[
            ("filter", filter.as_str()),
            ("count", &PAGE.to_string()),
            ("startIndex", &search.start.to_string()),
        ]);
        let body = match self.call(Operation::Users, request, MAX_ANSWER).await {
            Err(OmniError::Refused { status, .. }) if status.as_u16() == 404 && search.lower.is_none() => {
                return Ok(UserPage::Elsewhere(UserSearch { lower: Some(!lower), ..search }));
            }
            answer => answer?,
        };
        self.lower_users.store(lower, Ordering::Relaxed);
        let page: Page<'_> =
            serde_json::from_slice(&body).map_err(|_| OmniError::BadBody { what: "the user list is no list" })?;
        if let Some(id) = page.only_match(external_id)? {
            return Ok(UserPage::Found(id));
        }
        let rows = page.resources.len();
        let next = search.start + rows.max(lenient::count(page.size).unwrap_or(0));
        // Without a total, a page that is not full is the last one.
        let more = lenient::count(page.total).map_or(rows >= PAGE, |total| next <= total);
        if rows == 0 || !more {
            return Ok(UserPage::Nobody);
        }
        let pages = search.pages + 1;
        if pages == MOST_PAGES {
            return Err(OmniError::UserListTooLong { seen: next - 1 });
        }
        Ok(UserPage::More(UserSearch { start: next, pages, lower: Some(lower) }))
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
