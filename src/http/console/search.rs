//! `/console/search`, `/console/prompts/{id}`: what happened to something, and what happens next.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::frame::{Frame, Page, Section};
use super::look::{When, span};
use super::session::{Changer, Operator};
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::http::{Services, prompt};
use crate::model::{Conversation, Tenant};
use crate::pipeline::story::{Kind, Story, Waited};

/// What is looked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    q: String,
    /// Whose conversation or idempotency key it is.
    #[serde(default)]
    tenant: String,
}

/// Leads to whatever the id names.
pub(super) async fn find(
    operator: Operator,
    State(services): State<Services>,
    Query(Wanted { q, tenant }): Query<Wanted>,
) -> Result<Response, Problem> {
    let story = story(&services, &operator, q.trim(), &Tenant::new(Some(&tenant))).await?;
    let to = match (&story.prompt_id, &story.conversation, story.kind) {
        (_, Some(name), Kind::Conversation) => conversation(&operator, name),
        (_, _, Kind::DeadLetter) => format!("/console/dead-letters/{}", story.id),
        (Some(prompt), ..) => format!("/console/prompts/{prompt}"),
        _ => return Err(unknown()),
    };
    Ok(Redirect::to(&to).into_response())
}

#[derive(askama::Template)]
#[template(path = "prompt.html")]
struct Told {
    frame: Frame,
    now: Timestamp,
    id: String,
    story: Story,
    /// The address of its conversation's page.
    conversation: String,
    /// Whether it is over.
    ended: bool,
}

/// A prompt's story.
pub(super) async fn prompt(
    operator: Operator,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let story = story(&services, &operator, &format!("prompt:{id}"), &Tenant::default()).await?;
    let frame = Frame::of(&services, &operator, Section::Search, format!("Prompt {id}"));
    let conversation = story.conversation.as_deref().map(|name| conversation(&operator, name)).unwrap_or_default();
    let ended = story.next.is_none();
    Ok(Page(Told { frame, now: services.clock.now(), id, story, conversation, ended }))
}

/// Cancels a prompt.
pub(super) async fn cancel(
    Changer(operator): Changer,
    State(services): State<Services>,
    Path(id): Path<String>,
) -> Result<Redirect, Problem> {
    let record = prompt::named(&services, &operator.access, &id).await?;
    services.canceller.cancel(&record, &operator.who()).await?;
    Ok(Redirect::to(&format!("/console/prompts/{}", record.id)))
}

async fn story(services: &Services, operator: &Operator, id: &str, tenant: &Tenant) -> Result<Story, Problem> {
    let story = services.explainer.explain(id, tenant).await?;
    story.filter(|story| operator.access.sees_tenant(story.owner())).ok_or_else(unknown)
}

fn conversation(operator: &Operator, name: &str) -> String {
    let segment = Conversation::from_full(name).map(|found| operator.access.segment(&found));
    format!("/console/conversations/{}", segment.unwrap_or_default())
}

fn unknown() -> Problem {
    Problem::new(Code::NothingKnown, "nothing is known of this id")
}

fn waited(waited: &Waited) -> String {
    let time = span(&Duration::from_millis(waited.ms));
    let on = waited.on.as_ref().map(|prompt| format!(" ({prompt})")).unwrap_or_default();
    format!("waited {time} for {}{on}", waited.cause.words())
}
