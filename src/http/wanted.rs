//! Which dead letters a caller means.

use jiff::Timestamp;
use uuid::Uuid;

use super::auth::Access;
use super::code::Code;
use super::problem::Problem;
use super::{Services, reader};
use crate::model::letter::LetterFilter;
use crate::model::{Conversation, Reason, Tenant};
use crate::store::StoreError;
use crate::store::delivery::Stream;

/// What a filter may have.
pub(super) const KNOWN: [&str; 10] =
    ["stage", "reason", "tenant", "since", "until", "text", "promptId", "jobId", "conversation", "fingerprint"];

/// As it was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    filter: LetterFilter,
    conversation: Option<String>,
}

/// What there is not, for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    Tenant,
    Conversation,
}

/// What whoever asks for what it does not see may be told.
pub(super) const PROBLEMS: [Code; 2] = [Code::TenantNotFound, Code::ConversationNotFound];

impl From<Unseen> for Problem {
    fn from(unseen: Unseen) -> Self {
        match unseen {
            Unseen::Tenant => Self::new(Code::TenantNotFound, "there is no such tenant"),
            Unseen::Conversation => reader::not_found(),
        }
    }
}

impl Wanted {
    /// Takes what one of [`KNOWN`] shall be. The error says what would be right.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || Some(value.to_owned());
        let time = || value.parse::<Timestamp>().map(Some).map_err(|_| "must be a time, RFC 3339".to_owned());
        let uuid = || Uuid::try_parse(value).map(|id| Some(id.to_string())).map_err(|_| "must be a UUID".to_owned());
        match name {
            "stage" if Stream::of_stage(value).is_none() => return Err("must be intake, submit or process".to_owned()),
            "stage" => self.filter.stage = text(),
            "reason" if !is_reason(value) => {
                return Err(format!("must be one of {}", Reason::ALL.map(Reason::as_str).join(", ")));
            }
            "reason" => self.filter.reason = text(),
            "tenant" => self.filter.tenant = Some(Tenant::new(Some(value))),
            "since" => self.filter.since = time()?,
            "until" => self.filter.until = time()?,
            "text" if value.is_empty() => return Err("must not be empty: every letter would fit".to_owned()),
            "text" => self.filter.text = text(),
            "promptId" => self.filter.prompt_id = uuid()?,
            "jobId" => self.filter.job_id = uuid()?,
            "conversation" => self.conversation = text(),
            "fingerprint" => self.filter.fingerprint = text(),
            _ => return Err(format!("is not a known field; known are {}", KNOWN.join(", "))),
        }
        Ok(())
    }

    /// The filter, within what the caller sees. `Err` tells by what it sees nothing of what it asks for.
    pub(super) async fn of(
        mut self,
        services: &Services,
        access: &Access,
    ) -> Result<Result<LetterFilter, Unseen>, StoreError> {
        let Ok(tenant) = access.letters_of(self.filter.tenant.take()) else { return Ok(Err(Unseen::Tenant)) };
        if let Some(name) = self.conversation {
            self.filter.conversation = named(services, access, tenant.as_ref(), &name).await?;
            if self.filter.conversation.is_none() {
                return Ok(Err(Unseen::Conversation));
            }
        }
        self.filter.tenant = tenant;
        Ok(Ok(self.filter))
    }
}

/// The conversation by its caller's name for it (of `tenant`, where one is named), by its full name, or by Omni's.
async fn named(
    services: &Services,
    access: &Access,
    tenant: Option<&Tenant>,
    name: &str,
) -> Result<Option<Conversation>, StoreError> {
    let own = tenant.and_then(|tenant| Conversation::new(tenant, name)).or_else(|| access.conversation(name));
    services.store.named(own, name, |bound| access.sees(bound)).await
}

fn is_reason(word: &str) -> bool {
    Reason::ALL.iter().any(|reason| reason.as_str() == word)
}
