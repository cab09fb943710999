//! Parameters of an address, each known and given once.

use std::collections::BTreeMap;
use std::str::FromStr;

use url::form_urlencoded;

use super::code::Code;
use super::problem::Problem;
use crate::model::prompt::FieldError;

/// Those that are given, of those that are known.
pub(super) fn of(query: Option<&str>, known: &[&str]) -> Result<BTreeMap<String, String>, Problem> {
    let (mut given, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if !known.contains(&&*name) {
            let detail = format!("is not a known parameter; known are {}", known.join(", "));
            errors.push(FieldError::at("", &name, detail));
        } else if given.insert(name.to_string(), value.into_owned()).is_some() {
            errors.push(FieldError::at("", &name, "must be given once".to_owned()));
        }
    }
    if errors.is_empty() { Ok(given) } else { Err(Problem::fields(Code::InvalidParameter, errors)) }
}

/// The cursor of a list, and how many it is to show.
pub(super) fn page<C: FromStr>(query: Option<&str>, usual: usize, most: usize) -> Result<(Option<C>, usize), Problem> {
    let given = of(query, &["cursor", "limit"])?;
    let cursor = given.get("cursor").map(|cursor| cursor.parse()).transpose();
    let cursor = cursor.map_err(|_| wrong("cursor", "must be the nextCursor of a page"))?;
    let limit = given.get("limit").map_or(Some(usual), |limit| limit.parse().ok());
    let limit = limit.filter(|limit| (1..=most).contains(limit));
    let limit = limit.ok_or_else(|| wrong("limit", format!("must be a whole number from 1 to {most}")))?;
    Ok((cursor, limit))
}

/// A value that cannot be used.
pub(super) fn wrong(name: &str, detail: impl Into<String>) -> Problem {
    Problem::fields(Code::InvalidParameter, vec![FieldError::at("", name, detail.into())])
}
