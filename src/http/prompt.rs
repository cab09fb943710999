//! `GET /v1/prompts/{id}`: the prompt object.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use jiff::{Timestamp, Unit};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::auth::{self, Access, Authorized, Read};
use super::code::Code;
use super::contract::openapi::CHAT;
use super::contract::params::{PromptName, Wait};
use super::contract::problems;
use super::problem::{self, Problem};
use super::{Services, wait};
use crate::model::entry_schema::TerminalEvent;
use crate::model::{Conversation, Phase, PromptId};
use crate::pipeline::intake::Fresh;
use crate::store::conversation::Stored;
use crate::store::record::Record;
use crate::store::{Store, StoreError};

/// What callers see of a prompt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptObject {
    #[schema(value_type = Uuid)]
    pub(super) prompt_id: String,
    conversation: String,
    /// The conversation's stream in Redis.
    stream: String,
    /// Where its entries come as server-sent events.
    events_url: String,
    #[schema(value_type = Phase)]
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Uuid)]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Uuid)]
    conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    omni_chat_url: Option<String>,
    timeline: Vec<Step>,
    /// The terminal entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = TerminalEvent)]
    entry: Option<Box<RawValue>>,
    #[serde(skip)]
    pub(super) ended: bool,
}

/// When the prompt entered a phase.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TimelineStep)]
struct Step {
    #[schema(value_type = Phase)]
    phase: &'static str,
    at: Timestamp,
}

problems!(Problems: auth::PROBLEMS, problem::ANY, NAMED, [Code::InvalidParameter]);

/// What is said of a prompt that cannot be found.
pub(super) const NAMED: [Code; 2] = [Code::BadRequest, Code::PromptNotFound];

/// Shows a prompt of the caller's tenant.
#[utoipa::path(
    get, path = "/v1/prompts/{id}", tag = CHAT, operation_id = "getPrompt", security(("key" = ["read"])),
    params(PromptName, Wait),
    responses((status = 200, description = "As it stands", body = PromptObject), Problems),
)]
pub(super) async fn show(
    caller: Authorized<Read>,
    State(services): State<Services>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<PromptObject>, Problem> {
    let wait = wait::parse(query.as_deref())?;
    let record = named(&services, &caller.access, &id).await?;
    shown(&services, &caller.access, record, wait).await.map(Json)
}

/// The object, once the prompt has ended or the wait is over.
pub(super) async fn shown(
    services: &Services,
    access: &Access,
    record: Record,
    wait: Duration,
) -> Result<PromptObject, Problem> {
    wait::for_end(services, &record.conversation, record.id, wait).await;
    let record = if wait.is_zero() { record } else { visible(services, access, record.id).await? };
    Ok(object(&services.store, access, record).await?)
}

/// The record of the prompt that an address names, when the caller may know of it.
pub(super) async fn named(services: &Services, access: &Access, id: &str) -> Result<Record, Problem> {
    visible(services, access, id.parse().map_err(|_| not_found())?).await
}

/// The record, when the caller may know of it.
pub(super) async fn visible(services: &Services, access: &Access, id: PromptId) -> Result<Record, Problem> {
    let record = services.store.record(id).await?;
    record.filter(|record| access.sees(&record.conversation)).ok_or_else(not_found)
}

/// The object of a record. The entry counts as soon as readers can see it, even where the record does not say so yet.
pub(super) async fn object(store: &Store, access: &Access, record: Record) -> Result<PromptObject, StoreError> {
    let out = store.terminal_entry(&record.conversation, record.id).await?;
    let ended = out.as_ref().and_then(|(kind, _)| kind.ends_in());
    let phase = ended.unwrap_or(record.phase);
    let entry = match out.map(|(_, entry)| entry).or_else(|| record.entry.clone()) {
        Some(entry) => store.entry(&record.conversation, &entry).await?,
        None => None,
    };
    Ok(PromptObject {
        prompt_id: record.id.to_string(),
        conversation: record.conversation.key().to_owned(),
        stream: store.keys().conversation(&record.conversation),
        events_url: events_url(access, &record.conversation),
        phase: phase.as_str(),
        timeline: timeline(&record, phase, entry.as_ref()),
        job_id: record.job_id,
        conversation_id: record.conversation_id,
        omni_chat_url: record.chat_url,
        entry: entry.map(|entry| entry.event),
        ended: phase.is_terminal(),
    })
}

/// The object of a prompt as an operator sees it, for programs; and whether it has ended.
pub async fn for_operator(store: &Store, record: Record) -> Result<(serde_json::Value, bool), StoreError> {
    let object = object(store, &Access::of_operator(), record).await?;
    let ended = object.ended;
    let what = |_| StoreError::Corrupt { what: "a prompt's entry" };
    Ok((serde_json::to_value(object).map_err(what)?, ended))
}

/// The object of a prompt that was just accepted, as a look finds it.
pub(super) fn fresh(services: &Services, access: &Access, id: PromptId, fresh: &Fresh) -> PromptObject {
    let Fresh { conversation, phase, at } = fresh;
    PromptObject {
        prompt_id: id.to_string(),
        conversation: conversation.key().to_owned(),
        stream: services.store.keys().conversation(conversation),
        events_url: events_url(access, conversation),
        phase: phase.as_str(),
        timeline: step(*phase, *at).into_iter().collect(),
        job_id: None,
        conversation_id: None,
        omni_chat_url: None,
        entry: None,
        ended: false,
    }
}

fn events_url(access: &Access, conversation: &Conversation) -> String {
    format!("/v1/conversations/{}/events", access.segment(conversation))
}

/// By time, the last of each phase but for the first one; an end that the record does not know yet is as old as its entry.
fn timeline(record: &Record, phase: Phase, entry: Option<&Stored>) -> Vec<Step> {
    let mut steps: Vec<Step> = record.at.iter().filter_map(|(phase, at)| step(*phase, *at)).collect();
    if record.at.values().all(|at| *at != record.accepted_at()) {
        let waited =
            record.at.get(&Phase::Waiting).is_some_and(|at| record.replayed_at.is_none_or(|again| *at < again));
        steps.extend(step(if waited { Phase::Waiting } else { Phase::Queued }, record.accepted_at()));
    }
    if phase.is_terminal() && !record.at.contains_key(&phase) {
        let time = entry.and_then(|entry| entry.fields.iter().find(|(name, _)| name == "time"));
        let at = time.and_then(|(_, time)| time.parse::<Timestamp>().ok()?.round(Unit::Millisecond).ok());
        steps.extend(at.map(|at| Step { phase: phase.as_str(), at }));
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn step(phase: Phase, at: u64) -> Option<Step> {
    let at = Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
    Some(Step { phase: phase.as_str(), at })
}

pub(super) fn not_found() -> Problem {
    Problem::new(Code::PromptNotFound, "there is no such prompt")
}
