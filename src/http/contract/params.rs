//! Parameters that several calls have.
#![expect(dead_code, reason = "they are read as documentation")]

use utoipa::IntoParams;
use uuid::Uuid;

/// `/v1/prompts/{id}`.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct PromptName {
    /// The prompt's `promptId`
    id: Uuid,
}

/// `/v1/conversations/{key}`.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct ConversationName {
    /// The conversation: your name for it, or Omni's id. Of another tenant, for who sees all: `<tenant>%2F<key>`
    #[param(pattern = "^([^/]+/)?[A-Za-z0-9._:-]{1,128}$")]
    key: String,
}

/// `/v1/dead-letters/{id}`.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct LetterName {
    /// The letter's `id`
    #[param(min_length = 1)]
    id: String,
}

/// `/v1/dead-letter-runs/{id}`.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct RunName {
    /// The run's `id`
    #[param(min_length = 1)]
    id: String,
}

/// `?wait=`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Wait {
    /// Seconds for which the answer is held, until the prompt has ended
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u32>,
}
