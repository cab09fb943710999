//! Which letters are meant.

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use jiff::Timestamp;
use uuid::Uuid;

use crate::model::letter::LetterFilter;
use crate::model::{Conversation, Tenant};

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
    /// The conversation; `<tenant>/<name>` for a tenant's
    #[arg(long, value_parser = |name: &str| Conversation::from_full(name).ok_or("expected a conversation's name"))]
    conversation: Option<Conversation>,
    /// Those that died of the same cause
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    fingerprint: Option<String>,
}

impl From<Filter> for LetterFilter {
    fn from(filter: Filter) -> Self {
        Self {
            stage: filter.stage,
            reason: filter.reason,
            tenant: filter.tenant.as_deref().map(|name| Tenant::new(Some(name))),
            since: filter.since,
            until: filter.until,
            text: filter.text,
            prompt_id: filter.prompt_id.map(|id| id.to_string()),
            job_id: filter.job_id.map(|id| id.to_string()),
            conversation: filter.conversation,
            fingerprint: filter.fingerprint,
        }
    }
}
