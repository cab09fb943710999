//! `/api/scim/v2/embed/Users`: list with filter and paging, show, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::core::Core;
use super::super::options::User;
use super::super::wire::{Refusal, uuid};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Search {
    filter: Option<String>,
    count: Option<usize>,
    start_index: Option<usize>,
}

pub(super) async fn list(State(core): State<Arc<Core>>, Query(search): Query<Search>) -> Result<Json<Value>, Refusal> {
    let filter = search.filter.as_deref().map(Filter::read).transpose()?;
    let filter = filter.filter(|_| !core.options.ignore_scim_filter);
    let start = search.start_index.unwrap_or(1).max(1);
    let mut world = core.world();
    let shy = std::mem::take(&mut world.unseen);
    let found: Vec<&User> = world
        .users
        .iter()
        .filter(|user| !shy.contains_key(&user.id) && filter.as_ref().is_none_or(|filter| filter.fits(user)))
        .collect();
    let page: Vec<Value> =
        found.iter().skip(start - 1).take(search.count.unwrap_or(100)).map(|user| write(user)).collect();
    let answer = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": found.len(),
        "startIndex": start,
        "itemsPerPage": page.len(),
        "Resources": page,
    });
    world.unseen = shy.into_iter().filter(|(_, lists)| *lists > 1).map(|(id, lists)| (id, lists - 1)).collect();
    Ok(Json(answer))
}

pub(super) async fn show(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let id = uuid("id", &id)?;
    let world = core.world();
    let user = world.users.iter().find(|user| user.id == id);
    user.map(|user| Json(write(user))).ok_or_else(|| Refusal::new(404, "Embed user not found"))
}

pub(super) async fn delete(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let id = uuid("id", &id)?;
    core.change(|world| {
        let before = world.users.len();
        world.users.retain(|user| user.id != id);
        (world.users.len() < before).then_some(StatusCode::NO_CONTENT)
    })
    .ok_or_else(|| Refusal::new(404, "Embed user not found"))
}

/// Made up, as Omni makes it up: nobody can be found by it who is not known already.
fn user_name(user: &User) -> String {
    format!("embed-user-{}@acme.embed-omni.example", user.id.simple())
}

fn write(user: &User) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": user.id,
        "userName": user_name(user),
        "displayName": user.name,
        "active": user.active,
        "embedExternalId": user.external_id,
        "embedEntity": null,
        "embedEmail": null,
        "emails": [{ "primary": true, "value": user_name(user) }],
        "groups": [],
    })
}

/// `attribute operator "value"`, attribute and operator in any case, `\` before `\` and `"` in the value.
struct Filter {
    by_user_name: bool,
    contains: bool,
    value: String,
}

impl Filter {
    fn read(text: &str) -> Result<Self, Refusal> {
        let refused = || Refusal::bad_request("filter: expected eq or co on userName or embedExternalId");
        let mut words = text.trim().splitn(3, ' ');
        let mut word = || words.next().map(str::trim).ok_or_else(refused);
        let by_user_name = match word()?.to_ascii_lowercase().as_str() {
            "username" => true,
            "embedexternalid" => false,
            _ => return Err(refused()),
        };
        let contains = match word()?.to_ascii_lowercase().as_str() {
            "co" => true,
            "eq" => false,
            _ => return Err(refused()),
        };
        // SCIM borrows JSON's strings.
        let value = serde_json::from_str(word()?).map_err(|_| refused())?;
        Ok(Self { by_user_name, contains, value })
    }

    fn fits(&self, user: &User) -> bool {
        let (value, wanted) = if self.by_user_name {
            (user_name(user).to_lowercase(), self.value.to_lowercase())
        } else {
            (user.external_id.clone(), self.value.clone())
        };
        if self.contains { value.contains(&wanted) } else { value == wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(filter: &str, external_id: &str) -> bool {
        Filter::read(filter).unwrap().fits(&User::new(external_id, "Any"))
    }

    #[test]
    fn external_ids_are_compared_with_case() {
        assert!(fits(r#"EmbedExternalID EQ "u-1""#, "u-1"));
        assert!(!fits(r#"embedExternalId eq "u-1""#, "U-1"));
        assert!(!fits(r#"embedExternalId eq "u-1""#, "u-11"));
        assert!(fits(r#"embedExternalId co "u-1""#, "u-11"));
        assert!(fits(r#"embedExternalId eq "a \"b\" \\ c""#, r#"a "b" \ c"#));
    }

    #[test]
    fn anything_else_is_refused() {
        for filter in
            ["", "embedExternalId", r#"name eq "x""#, r#"userName sw "x""#, "userName eq x", r#"userName eq "x"#]
        {
            assert!(Filter::read(filter).is_err(), "{filter}");
        }
    }
}
