//! `GET /api/v1/ai/conversations` and `…/{conversationId}`.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::answers;
use super::super::clock::millis;
use super::super::conversation::Conversation;
use super::super::core::Core;
use super::super::job::JobState;
use super::super::wire::{Refusal, uuid};
use super::super::world::World;

const NAME_LENGTH: usize = 60;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    cursor: Option<String>,
    page_size: Option<usize>,
    user_id: Option<String>,
}

/// Newest change first. The cursor is the last id of the page before.
pub(super) async fn list(State(core): State<Arc<Core>>, Query(page): Query<Wanted>) -> Result<Json<Value>, Refusal> {
    let size = page.page_size.unwrap_or(20);
    if !(1..=100).contains(&size) {
        return Err(Refusal::bad_request("pageSize: 1 to 100"));
    }
    let user = page.user_id.as_deref().map(|id| uuid("userId", id)).transpose()?;
    let world = core.world();
    let mut all: Vec<&Conversation> =
        world.conversations.values().filter(|one| user.is_none() || one.user == user).collect();
    all.sort_by_key(|one| (Reverse(one.updated), one.id));
    let start = match page.cursor {
        None => 0,
        Some(cursor) => {
            let last = uuid("cursor", &cursor)?;
            all.iter().position(|one| one.id == last).map_or(all.len(), |index| index + 1)
        }
    };
    let records: Vec<Value> = all.iter().skip(start).take(size).map(|one| head(&world, one)).collect();
    let more = start + records.len() < all.len();
    let cursor = records.last().filter(|_| more).map(|record| record["id"].clone());
    Ok(Json(json!({
        "records": records,
        "pageInfo": { "hasNextPage": more, "nextCursor": cursor, "pageSize": size, "totalRecords": all.len() },
    })))
}

pub(super) async fn detail(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let world = core.world();
    let conversation = uuid("conversationId", &id).ok().and_then(|id| world.conversations.get(&id));
    let conversation = conversation.ok_or_else(|| Refusal::new(404, "Conversation not found"))?;
    let mut detail = head(&world, conversation);
    if let Some(detail) = detail.as_object_mut() {
        detail.remove("lastPrompt");
    }
    detail["messages"] = messages(&world, conversation).into();
    Ok(Json(detail))
}

fn head(world: &World, conversation: &Conversation) -> Value {
    let prompt = |id| world.job(id).map(|job| job.prompt.as_str());
    let first = conversation.jobs.first().copied().and_then(prompt);
    json!({
        "id": conversation.id,
        "createdAt": millis(conversation.created),
        "updatedAt": millis(conversation.updated),
        "name": first.map(|prompt| prompt.chars().take(NAME_LENGTH).collect::<String>()),
        "lastPrompt": conversation.jobs.last().copied().and_then(prompt),
    })
}

fn messages(world: &World, conversation: &Conversation) -> Vec<Value> {
    let mut messages = Vec::new();
    for job in conversation.jobs.iter().filter_map(|id| world.job(*id)) {
        let mut say = |role: &str, text: &str, at: String| {
            messages.push(json!({
                "role": role,
                "text": text,
                "createdAt": at,
                "jobId": job.id,
                "omniChatUrl": Conversation::chat_url(conversation.id),
            }));
        };
        say("user", &job.prompt, millis(job.created));
        if job.state == JobState::Complete {
            say("assistant", &answers::answer(job).markdown, millis(job.finished.unwrap_or(job.updated)));
        }
    }
    messages
}
