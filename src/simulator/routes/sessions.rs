//! `POST …/embed/sso/generate-session`, at both of its paths: makes an embed user, or makes one be as is said.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::core::Core;
use super::super::options::User;
use super::super::wire::Refusal;
use super::super::world::World;

/// What is taken besides external id, name and content path. What is left out is taken away.
const KNOWN: [&str; 6] = ["email", "entity", "groups", "userAttributes", "connectionRoles", "modelRoles"];

pub(super) async fn v1(State(core): State<Arc<Core>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    generate(&core, &body, |world| world.sessions.v1)
}

pub(super) async fn unstable(State(core): State<Arc<Core>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    generate(&core, &body, |world| world.sessions.unstable)
}

fn generate(core: &Core, body: &[u8], known: fn(&World) -> bool) -> Result<Json<Value>, Refusal> {
    if !known(&core.world()) {
        return Err(Refusal::new(404, "Not Found"));
    }
    let mut profile: Map<String, Value> = serde_json::from_slice(body).map_err(Refusal::bad_request)?;
    let external_id = take(&mut profile, "externalId")?;
    let name = take(&mut profile, "name")?;
    take(&mut profile, "contentPath")?;
    if let Some(name) = profile.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Refusal::bad_request(format_args!("{name}: Unrecognized key")));
    }
    core.change(|world| {
        let fresh = User { id: Uuid::new_v4(), ..User::new(&external_id, &name) };
        let lists = world.sessions.unseen;
        let place = world.users.iter().position(|user| user.external_id == external_id).unwrap_or_else(|| {
            if lists > 0 {
                world.unseen.insert(fresh.id, lists);
            }
            world.users.push(fresh);
            world.users.len() - 1
        });
        let user = &mut world.users[place];
        if let Some(region) = profile.get("userAttributes").and_then(|all| all["region"].as_str()) {
            user.region = Some(region.to_owned());
        }
        (user.name, user.profile) = (name, profile);
    });
    Ok(Json(json!({ "sessionId": Uuid::new_v4() })))
}

fn take(profile: &mut Map<String, Value>, name: &str) -> Result<String, Refusal> {
    match profile.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(Refusal::bad_request(format_args!("{name}: Required"))),
    }
}
