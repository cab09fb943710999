//! Which letters are meant.

use anyhow::Context;
use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use jiff::Timestamp;
use uuid::Uuid;

use crate::model::letter::LetterFilter;
use crate::model::{Conversation, Tenant};
use crate::store::Store;

/// Every one that is given must fit.
#[derive(Args)]
pub(super) struct Filter {
    /// The stage they died in
    #[arg(long, value_parser = PossibleValuesParser::new(["intake", "submit", "process"]))]
    stage: Option<String>,
    /// Why they died, such as `retries_exhausted`
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Whose they are; '' for those of no tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Died at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Died before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Part of the error
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    text: Option<String>,
    #[arg(long, value_name = "ID")]
    prompt_id: Option<Uuid>,
    #[arg(long, value_name = "ID")]
    job_id: Option<Uuid>,
    /// The conversation, `<tenant>/<name>` for a tenant's; or Omni's id of it
    #[arg(long, value_parser = |name: &str| Conversation::from_full(name).ok_or("expected a conversation's name"))]
    conversation: Option<Conversation>,
    /// Those that died of the same cause
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    fingerprint: Option<String>,
}

impl Filter {
    /// As the store has it; Omni's id of a conversation is a name of it, too.
    pub(super) async fn of(self, store: &Store) -> anyhow::Result<LetterFilter> {
        let conversation = match self.conversation {
            Some(own) => {
                let name = own.as_str().to_owned();
                store.named(Some(own), &name, |_| true).await.context("failed to find the conversation")?
            }
            None => None,
        };
        Ok(LetterFilter {
            stage: self.stage,
            reason: self.reason,
            tenant: self.tenant.as_deref().map(|name| Tenant::new(Some(name))),
            since: self.since,
            until: self.until,
            text: self.text,
            prompt_id: self.prompt_id.map(|id| id.to_string()),
            job_id: self.job_id.map(|id| id.to_string()),
            conversation,
            fingerprint: self.fingerprint,
        })
    }
}
