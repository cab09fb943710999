//! The interface, described for programs: `GET /openapi.json`, `GET /asyncapi.json`, and `GET /docs` for people.
//!
//! A handler's `#[utoipa::path]` says what it takes and answers; the router collects them, [`openapi`] adds the rest.
//! [`asyncapi`] describes the entries. What several calls have in common stands in [`params`] and [`problems`].

mod asyncapi;
pub(super) mod documents;
pub(super) mod openapi;
#[cfg(feature = "docs")]
mod page;
pub(super) mod params;
mod problems;

#[cfg(feature = "docs")]
pub(super) use page::routes as page;
pub(super) use problems::{Responses, problems, responses};
