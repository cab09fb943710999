//! The webhook: its body, its signature, and sending it until it is accepted.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::answers;
use super::behaviour::Outcome;
use super::clock;
use super::core::Core;
use super::gate::log;
use super::job::{Job, JobState, Target};

#[derive(Clone, Copy)]
pub(super) enum Message {
    Final {
        fresh_id: bool,
    },
    /// Says FAILED whatever the job's state, signed with a secret that is not the job's.
    Forged,
    /// The iteration. Omni does not publish the body of a progress event: this one is a guess.
    Progress(u32),
}

struct Parcel {
    url: String,
    secret: String,
    status: &'static str,
    body: Vec<u8>,
}

/// Sends until the answer is 200 or the tries are used up.
pub(super) async fn until_accepted(core: &Core, id: Uuid, message: Message) {
    let mut pause = core.options.webhook_backoff;
    for attempt in 1..=core.options.webhook_tries.max(1) {
        if once(core, id, message).await == Some(200) {
            return;
        }
        if attempt < core.options.webhook_tries && !core.sleep(pause).await {
            return;
        }
        pause *= 2;
    }
}

/// Sends once. None: the job has no webhook, or there was no answer.
pub(super) async fn once(core: &Core, id: Uuid, message: Message) -> Option<u16> {
    let parcel = core.world().job(id).and_then(|job| pack(job, message))?;
    let timestamp = clock::now().as_second().to_string();
    let signature = sign(&parcel.secret, &timestamp, &parcel.body);
    let sent = core
        .client
        .post(&parcel.url)
        .header("Content-Type", "application/json")
        .header("X-Omni-Signature-Timestamp", timestamp)
        .header("X-Omni-Signature", signature)
        .body(parcel.body)
        .send()
        .await;
    let status = sent.ok().map(|response| response.status().as_u16());
    core.change(|world| {
        world.delivered += u64::from(status.is_some() && matches!(message, Message::Final { .. }));
        if let Some(job) = world.job_mut(id) {
            match message {
                Message::Final { .. } => job.deliveries.push(status),
                Message::Forged => job.forgeries.push(status),
                Message::Progress(_) => {}
            }
        }
    });
    if core.options.log {
        let answer = status.map_or_else(|| "unanswered".to_owned(), |status| status.to_string());
        log(format_args!("webhook {id} {} {answer}", parcel.status));
    }
    status
}

fn pack(job: &Job, message: Message) -> Option<Parcel> {
    let target = job.webhook.as_ref()?;
    let (status, event, secret) = match message {
        Message::Final { fresh_id } => {
            let event = if fresh_id { Uuid::new_v4() } else { target.event };
            (job.state.as_str(), event, target.secret.clone())
        }
        Message::Forged => (JobState::Failed.as_str(), Uuid::new_v4(), format!("not {}", target.secret)),
        Message::Progress(_) => (JobState::Executing.as_str(), Uuid::new_v4(), target.secret.clone()),
    };
    let body = body(job, target, message, status, event).to_string().into_bytes();
    Some(Parcel { url: target.url.clone(), secret, status, body })
}

fn body(job: &Job, target: &Target, message: Message, status: &str, event: Uuid) -> Value {
    let short = &event.simple().to_string()[..8];
    let at = job.finished.unwrap_or(job.updated);
    let mut body = json!({
        "event_id": format!("evt_{short}_{status}_{}", at.as_second()),
        "jobId": job.id,
        "status": status,
    });
    if let Some(metadata) = &target.metadata {
        body["metadata"] = Value::Object(metadata.clone());
    }
    if let Message::Progress(iteration) = message {
        body["progress"] = answers::progress(&job.question, iteration, clock::now());
        return body;
    }
    body["completed_at"] = clock::seconds(at).into();
    match &job.behaviour.outcome {
        Outcome::Complete if status == JobState::Complete.as_str() => {
            body["result_summary"] = answers::answer(job).markdown.into();
        }
        Outcome::Denied { reason } if status == JobState::Failed.as_str() => {
            body["event"] = "job.denied".into();
            body["reason"] = reason.as_str().into();
        }
        _ => {}
    }
    body
}

fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("an HMAC takes a key of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_openssl_makes() {
        // printf '1706123456.{"a":1}' | openssl dgst -sha256 -hmac 'a secret'
        let signature = sign("a secret", "1706123456", br#"{"a":1}"#);
        assert_eq!(signature, "sha256=5b9753369a7a56cf14b87f2fce6cfb6154287f24179ee1af49a65652e44f959c");
    }
}
