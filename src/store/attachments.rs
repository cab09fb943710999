//! Attachments: what a prompt brings along that is too large for its record. Written before their prompt is, so that
//! whatever is accepted has them; gone once Omni has the job, or the prompt has ended without one.

use serde_json::value::RawValue;

use super::script::{Move, script, with_keys};
use super::{Store, StoreError};
use crate::model::{Attachments, PromptId};
use crate::runtime::millis;

static ATTACH: Move = script!("attach");

impl Store {
    /// Puts them beside a prompt that is about to be accepted. Should it not be, they end by themselves.
    pub async fn attach(&self, id: PromptId, attachments: &Attachments) -> Result<(), StoreError> {
        let mut call = with_keys(&ATTACH, &[&self.keys.attachments(id)]);
        call.arg(attachments.json().get()).arg(millis(self.policy.retention));
        self.durably::<i64>(&call, &self.keys.replicated_with(id)).await.map(drop)
    }

    /// Their prompt was accepted: they have no end of their own any more.
    pub async fn keep_attachments(&self, id: PromptId) -> Result<(), StoreError> {
        let mut command = redis::cmd("PERSIST");
        command.arg(self.keys.attachments(id));
        self.redis.query::<i64>(&command).await.map(drop)
    }

    /// Attachments as Omni takes them, for its create; `None` where they are lost. Kept as above, whatever came between.
    pub async fn attachments(&self, id: PromptId) -> Result<Option<Box<RawValue>>, StoreError> {
        let mut command = redis::cmd("GETEX");
        command.arg(self.keys.attachments(id)).arg("PERSIST");
        let json: Option<String> = self.redis.query(&command).await?;
        json.map(RawValue::from_string).transpose().map_err(|_| StoreError::Corrupt { what: "attachments" })
    }

    /// Nobody needs them any more. Safe to repeat.
    pub async fn detach(&self, id: PromptId) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        command.arg(self.keys.attachments(id));
        self.redis.query::<i64>(&command).await.map(drop)
    }
}
