//! A dead letter as people see it: what lists show, what filters look at.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::dead_letter::Reason;
use super::ids::{Conversation, Tenant};

/// What a list shows of an open dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// The prompt's id, or that of the entry it was.
    pub id: String,
    /// Where it died.
    #[schema(value_type = StageName)]
    pub stage: String,
    /// Why.
    #[schema(value_type = Reason)]
    pub reason: String,
    /// The last error.
    pub error: String,
    /// Failed attempts before its last death.
    pub attempts: u32,
    /// When it died first.
    pub first_at: Timestamp,
    /// When it died last.
    pub last_at: Timestamp,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub prompt_id: Option<String>,
    /// Omni's job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_id: Option<String>,
    /// Where its readers are; shown as its caller's own name for it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "key")]
    #[schema(value_type = String)]
    pub conversation: Option<Conversation>,
    /// Whose conversation that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tenant: Option<String>,
    /// The same for letters that died of the same cause.
    pub fingerprint: String,
}

/// The stages that letters die in.
#[derive(ToSchema)]
#[schema(as = Stage, rename_all = "lowercase")]
pub enum StageName {
    Intake,
    Submit,
    Process,
}

/// What all of a list's letters have in common. Every member that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadLetterFilter)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LetterFilter {
    /// The stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<StageName>)]
    pub stage: Option<String>,
    /// The reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
    /// The tenant; the empty one for letters of no tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tenant: Option<Tenant>,
    /// Died last at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Died last before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Part of the error, in either case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    pub text: Option<String>,
    /// The prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub prompt_id: Option<String>,
    /// Omni's job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub job_id: Option<String>,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub conversation: Option<Conversation>,
    /// The cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl Letter {
    /// Whose it is; the empty tenant where nobody can tell.
    pub fn owner(&self) -> Tenant {
        match (&self.conversation, &self.tenant) {
            (Some(conversation), _) => conversation.tenant(),
            (None, tenant) => Tenant::new(tenant.as_deref()),
        }
    }
}

impl LetterFilter {
    /// Whether a letter is meant.
    pub fn fits(&self, letter: &Letter) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let said = |text: &String| letter.error.to_lowercase().contains(&text.to_lowercase());
        same(self.stage.as_ref(), Some(&letter.stage))
            && same(self.reason.as_ref(), Some(&letter.reason))
            && same(self.tenant.as_ref(), Some(&letter.owner()))
            && self.since.is_none_or(|since| letter.last_at >= since)
            && self.until.is_none_or(|until| letter.last_at < until)
            && self.text.as_ref().is_none_or(said)
            && same(self.prompt_id.as_ref(), letter.prompt_id.as_ref())
            && same(self.job_id.as_ref(), letter.job_id.as_ref())
            && same(self.conversation.as_ref(), letter.conversation.as_ref())
            && same(self.fingerprint.as_ref(), Some(&letter.fingerprint))
    }
}

#[expect(clippy::ref_option, reason = "the shape serde asks for")]
fn key<S: Serializer>(conversation: &Option<Conversation>, serializer: S) -> Result<S::Ok, S::Error> {
    conversation.as_ref().map(Conversation::key).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        let at = Timestamp::from_second(1000).unwrap();
        Letter {
            id: "p".to_owned(),
            stage: "process".to_owned(),
            reason: "retries_exhausted".to_owned(),
            error: "Timed out".to_owned(),
            attempts: 4,
            first_at: at,
            last_at: at,
            prompt_id: Some("p".to_owned()),
            job_id: None,
            conversation: Conversation::from_full("acme/t-1"),
            tenant: Some("acme".to_owned()),
            fingerprint: "f".to_owned(),
        }
    }

    #[test]
    fn every_member_of_a_filter_counts() {
        let none = LetterFilter::default;
        let text = |text: &str| Some(text.to_owned());
        let at = |second| Timestamp::from_second(second).ok();
        let conversation = |name| Conversation::from_full(name);
        let pairs = [
            (LetterFilter { stage: text("process"), ..none() }, LetterFilter { stage: text("submit"), ..none() }),
            (
                LetterFilter { reason: text("retries_exhausted"), ..none() },
                LetterFilter { reason: text("poison"), ..none() },
            ),
            (
                LetterFilter { tenant: Some(Tenant::new(Some("acme"))), ..none() },
                LetterFilter { tenant: Some(Tenant::default()), ..none() },
            ),
            (LetterFilter { since: at(1000), ..none() }, LetterFilter { since: at(1001), ..none() }),
            (LetterFilter { until: at(1001), ..none() }, LetterFilter { until: at(1000), ..none() }),
            (LetterFilter { text: text("TIMED"), ..none() }, LetterFilter { text: text("refused"), ..none() }),
            (LetterFilter { prompt_id: text("p"), ..none() }, LetterFilter { prompt_id: text("q"), ..none() }),
            (none(), LetterFilter { job_id: text("j"), ..none() }),
            (
                LetterFilter { conversation: conversation("acme/t-1"), ..none() },
                LetterFilter { conversation: conversation("t-1"), ..none() },
            ),
            (LetterFilter { fingerprint: text("f"), ..none() }, LetterFilter { fingerprint: text("g"), ..none() }),
        ];
        for (fits, fails) in pairs {
            assert!(fits.fits(&letter()), "{fits:?}");
            assert!(!fails.fits(&letter()), "{fails:?}");
        }
    }

    #[test]
    fn a_letter_has_the_shape_that_programs_know() {
        let shown = serde_json::to_value(letter()).unwrap();
        let expected = serde_json::json!({
            "id": "p", "stage": "process", "reason": "retries_exhausted", "error": "Timed out", "attempts": 4,
            "firstAt": "1970-01-01T00:16:40Z", "lastAt": "1970-01-01T00:16:40Z", "promptId": "p",
            "conversation": "t-1", "tenant": "acme", "fingerprint": "f"
        });
        assert_eq!(shown, expected);
    }
}
