//! `POST /api/v1/ai/jobs`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::super::answers::Question;
use super::super::behaviour::{Behaviour, CreateReply, Timing};
use super::super::clock;
use super::super::conversation::Conversation;
use super::super::core::Core;
use super::super::gate::unanswered;
use super::super::job::{Job, JobState, Target};
use super::super::markers;
use super::super::pace::Pace;
use super::super::runner;
use super::super::view::File;
use super::super::wire::{AttachmentBody, CreateBody, Created, Refusal, uuid};
use super::super::world::World;

const LARGEST_IMAGE: usize = 3 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct For {
    pub(super) user_id: Option<String>,
}

pub(super) async fn create(State(core): State<Arc<Core>>, Query(who): Query<For>, body: Bytes) -> Response {
    let order = match read(&who, &body) {
        Ok(order) => order,
        Err(refusal) => return refusal.into_response(),
    };
    let accepted = core.change(|world| accept(world, order, core.options.accept_unknown_users));
    let (created, behaviour) = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal.into_response(),
    };
    if behaviour.webhook.timing == Timing::BeforeCreateReply {
        // A task of its own: a caller that hangs up does not stop it.
        core.tasks.spawn(runner::run(Arc::clone(&core), created.job_id)).await.ok();
    } else {
        core.tasks.spawn(runner::run(Arc::clone(&core), created.job_id));
    }
    match behaviour.create {
        CreateReply::Lost(status) => Refusal::new(status, "Simulated loss of the answer").into_response(),
        CreateReply::Dropped => unanswered(),
        _ => (StatusCode::CREATED, Json(created)).into_response(),
    }
}

/// A create whose shape is right.
struct Order {
    body: CreateBody,
    files: Vec<File>,
    user: Option<Uuid>,
    conversation: Option<Uuid>,
}

fn read(who: &For, body: &[u8]) -> Result<Order, Refusal> {
    let body: CreateBody = serde_json::from_slice(body).map_err(Refusal::bad_request)?;
    if body.prompt.is_empty() {
        return Err(Refusal::bad_request("prompt: Required"));
    }
    uuid("modelId", &body.model_id)?;
    body.branch_id.as_deref().map(|id| uuid("branchId", id)).transpose()?;
    if body.topic_name.as_ref().is_some_and(|name| name.chars().count() > 256) {
        return Err(Refusal::bad_request("topicName: at most 256 characters"));
    }
    let files = body.attachments.iter().map(file).collect::<Result<Vec<_>, _>>()?;
    if files.len() > 5 {
        return Err(Refusal::bad_request("attachments: at most 5"));
    }
    check_webhook(&body)?;
    let user = who.user_id.as_deref().map(|id| uuid("userId", id)).transpose()?;
    let conversation = body.conversation_id.as_deref().map(|id| uuid("conversationId", id)).transpose()?;
    Ok(Order { body, files, user, conversation })
}

fn file(attachment: &AttachmentBody) -> Result<File, Refusal> {
    let AttachmentBody { data, mime_type, name } = attachment;
    let is_image = mime_type.starts_with("image/");
    if !is_image && mime_type != "application/pdf" {
        return Err(Refusal::bad_request("attachments: mimeType must be image/* or application/pdf"));
    }
    let bytes = BASE64_STANDARD.decode(data).ok().filter(|bytes| !bytes.is_empty());
    let bytes = bytes.ok_or_else(|| Refusal::bad_request("attachments: data must be base64"))?;
    if is_image && bytes.len() > LARGEST_IMAGE {
        return Err(Refusal::bad_request("attachments: an image may have 3 MB"));
    }
    let sha256 = hex::encode(Sha256::digest(&bytes));
    Ok(File { mime_type: mime_type.clone(), name: name.clone(), bytes: bytes.len(), sha256 })
}

fn check_webhook(body: &CreateBody) -> Result<(), Refusal> {
    let Some(url) = &body.webhook_url else {
        return if body.progress_webhook_enabled {
            Err(Refusal::bad_request("progressWebhookEnabled: requires webhookUrl"))
        } else {
            Ok(())
        };
    };
    if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
        return Err(Refusal::bad_request("webhookUrl: Invalid url"));
    }
    if body.webhook_signing_secret.as_deref().unwrap_or_default().is_empty() {
        return Err(Refusal::bad_request("webhookSigningSecret: Required with webhookUrl"));
    }
    Ok(())
}

/// Checks the order against the world and adds the job, in one go.
fn accept(world: &mut World, order: Order, any_user: bool) -> Result<(Created, Behaviour), Refusal> {
    let user = order.user.and_then(|id| world.users.iter().find(|user| user.id == id));
    if order.user.is_some() && !any_user && !user.is_some_and(|user| user.active) {
        return Err(Refusal::new(403, "Forbidden: no such member of this organization"));
    }
    let region = user.and_then(|user| user.region.clone());
    let previous = match order.conversation {
        None => None,
        Some(id) if !world.conversations.contains_key(&id) => {
            return Err(Refusal::new(404, format!("Conversation {id} not found")));
        }
        Some(id) if world.has_active_job(id) => {
            return Err(Refusal::new(409, "An active job already exists for this conversation"));
        }
        Some(id) => world.conversations.get(&id).and_then(|conversation| conversation.question.clone()),
    };
    markers::check(&order.body.prompt).map_err(Refusal::bad_request)?;
    let base = world.behaviour_for_next_job();
    let (behaviour, words) = markers::apply(&order.body.prompt, base).map_err(Refusal::bad_request)?;
    if let CreateReply::Refused(status) = behaviour.create {
        return Err(Refusal::new(status, "Simulated refusal"));
    }
    let question = Question::read(&words, previous.as_ref());
    Ok(add(world, order, behaviour, region, question))
}

fn add(
    world: &mut World,
    order: Order,
    behaviour: Behaviour,
    region: Option<String>,
    question: Question,
) -> (Created, Behaviour) {
    let now = clock::now();
    let Order { body, files, user, conversation } = order;
    let conversation = conversation.unwrap_or_else(|| {
        let opened = Conversation::new(user, now);
        let id = opened.id;
        world.conversations.insert(id, opened);
        id
    });
    let early = behaviour.webhook.timing == Timing::BeforeCreateReply;
    let duration = behaviour.duration.unwrap_or_else(|| world.draw_duration());
    let webhook = body.webhook_url.zip(body.webhook_signing_secret).map(|(url, secret)| Target {
        url,
        secret,
        metadata: body.webhook_metadata,
        progress: body.progress_webhook_enabled,
        event: Uuid::new_v4(),
    });
    let job = Job {
        id: Uuid::new_v4(),
        conversation,
        prompt: body.prompt,
        question,
        user,
        region,
        model: body.model_id,
        branch: body.branch_id,
        topic: body.topic_name,
        files,
        webhook,
        behaviour: behaviour.clone(),
        state: JobState::Queued,
        created: now,
        updated: now,
        started: None,
        finished: None,
        pace: Pace { born: Instant::now(), duration, released: early, cancel_at: None },
        cancel_asked: false,
        feedback: None,
        deliveries: Vec::new(),
        forgeries: Vec::new(),
        wake: Arc::new(Notify::new()),
    };
    let created =
        Created { job_id: job.id, conversation_id: conversation, omni_chat_url: Conversation::chat_url(conversation) };
    world.add_job(job);
    (created, behaviour)
}
