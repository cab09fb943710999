//! Create a job: the one call that costs money and has no idempotency key.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::{MAX_ANSWER, Omni};
use super::error::{Doubt, OmniError};

/// What is asked for. Members that are not set are not sent: Omni refuses what it does not know, nulls included.
#[derive(Clone)]
pub struct CreateJob<'a> {
    pub model_id: Uuid,
    pub prompt: &'a str,
    /// Continues that thread.
    pub conversation_id: Option<Uuid>,
    pub branch_id: Option<Uuid>,
    /// At most 256 characters.
    pub topic_name: Option<&'a str>,
    /// At most five files, `[{data, mimeType, name?}]`.
    pub attachments: Option<&'a RawValue>,
    /// The membership to act for; an embed user's SCIM id. Without it Omni uses the rights of the key's owner.
    pub user_id: Option<Uuid>,
    pub webhook: Option<WebhookRequest<'a>>,
    /// Progress webhooks too. Means nothing without `webhook`.
    pub progress: bool,
}

/// Where and how Omni shall report the end of the job.
#[derive(Clone, Copy)]
pub struct WebhookRequest<'a> {
    pub url: &'a str,
    pub secret: &'a SecretString,
    /// Comes back unchanged in every webhook of the job.
    pub metadata: &'a Map<String, Value>,
}

/// Omni's 201.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    pub job_id: Uuid,
    pub conversation_id: Uuid,
    /// May be on another host than the API: passed on, never fetched.
    #[serde(default)]
    pub omni_chat_url: Option<String>,
}

/// What an upload may take besides the usual time: one that is cut off has an unknown outcome.
const PER_MIB: Duration = Duration::from_secs(2);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    model_id: Uuid,
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<&'a RawValue>,
    #[serde(flatten)]
    webhook: Option<Webhook<'a>>,
}

#[derive(Serialize)]
struct Webhook<'a> {
    #[serde(rename = "webhookUrl")]
    url: &'a str,
    #[serde(rename = "webhookSigningSecret")]
    signing_secret: &'a str,
    #[serde(rename = "webhookMetadata")]
    metadata: &'a Map<String, Value>,
    #[serde(rename = "progressWebhookEnabled", skip_serializing_if = "std::ops::Not::not")]
    progress: bool,
}

impl Omni {
    /// Sends once. Unless it failed as [`OmniError::NotSent`], [`OmniError::Throttled`] or [`OmniError::Conflict`], a
    /// second call may start a second job.
    pub async fn create(&self, key: &ApiKey, job: &CreateJob<'_>) -> Result<Created, OmniError> {
        let files = job.attachments.map_or(0, |files| files.get().len());
        let upload = PER_MIB.mul_f64(f64::from(u32::try_from(files).unwrap_or(u32::MAX)) / f64::from(1 << 20));
        let mut request = self.request(Method::POST, key, "/api/v1/ai/jobs").json(&job.body());
        request = request.timeout(self.timeout() + upload);
        if let Some(user_id) = job.user_id {
            request = request.query(&[("userId", user_id)]);
        }
        let unreadable = || OmniError::UnknownOutcome(Doubt::Unreadable);
        match self.call(Operation::Create, request, MAX_ANSWER).await {
            Ok(body) => serde_json::from_slice(&body).map_err(|_| unreadable()),
            Err(OmniError::TooLarge { .. }) => Err(unreadable()),
            Err(error) => Err(error),
        }
    }
}

impl CreateJob<'_> {
    fn body(&self) -> Body<'_> {
        Body {
            model_id: self.model_id,
            prompt: self.prompt,
            conversation_id: self.conversation_id,
            branch_id: self.branch_id,
            topic_name: self.topic_name,
            attachments: self.attachments,
            webhook: self.webhook.map(|webhook| Webhook {
                url: webhook.url,
                signing_secret: webhook.secret.expose_secret(),
                metadata: webhook.metadata,
                progress: self.progress,
            }),
        }
    }
}

impl fmt::Debug for CreateJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateJob")
            .field("model_id", &self.model_id)
            .field("conversation_id", &self.conversation_id)
            .field("prompt_bytes", &self.prompt.len())
            .finish_non_exhaustive()
    }
}
