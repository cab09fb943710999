//! How work travels between stages: one JSON field per stream entry, with what happened to it so far.

use serde::{Deserialize, Serialize};

use super::ids::PromptId;

/// The shape of the envelope. A reader refuses what it does not know instead of guessing.
pub const VERSION: u8 = 1;

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Unix milliseconds.
    pub at: u64,
    /// What failed, without data of the customer.
    pub error: String,
}

/// A stage's work and its history. `{"v":1,…work}` is a fresh one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<W> {
    /// See [`VERSION`].
    pub v: u8,
    /// Failed attempts, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Attempt>,
    /// When it first had to wait (unix milliseconds): waits are bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<u64>,
    /// How often it waited since the last attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waits: u32,
    /// The work itself.
    #[serde(flatten)]
    pub work: W,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl<W> Envelope<W> {
    /// Fresh work.
    pub const fn new(work: W) -> Self {
        Self { v: VERSION, history: Vec::new(), waiting_since: None, waits: 0, work }
    }

    /// Failed attempts so far.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.history.len()).unwrap_or(u32::MAX)
    }

    /// Notes a wait that counts no attempt.
    pub fn waited(&mut self, now_ms: u64) {
        self.waiting_since.get_or_insert(now_ms);
        self.waits = self.waits.saturating_add(1);
    }

    /// Notes a failed attempt.
    pub fn failed(&mut self, now_ms: u64, error: String) {
        self.history.push(Attempt { at: now_ms, error });
        self.waiting_since = None;
        self.waits = 0;
    }
}

/// The submit stage's work: a prompt whose turn has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submit {
    /// Which.
    pub prompt_id: PromptId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_scripts_write_is_fresh_work() {
        let text = r#"{"v":1,"promptId":"0198c0de-0000-7000-8000-000000000001"}"#;
        let envelope: Envelope<Submit> = serde_json::from_str(text).unwrap();
        assert_eq!((envelope.attempts(), envelope.waits), (0, 0));
        assert_eq!(serde_json::to_string(&envelope).unwrap(), text);
    }

    #[test]
    fn a_failure_ends_the_wait() {
        let mut envelope = Envelope::new(Submit { prompt_id: PromptId::new(jiff::Timestamp::UNIX_EPOCH) });
        envelope.waited(5);
        envelope.waited(9);
        assert_eq!((envelope.waiting_since, envelope.waits, envelope.attempts()), (Some(5), 2, 0));
        envelope.failed(10, "connect".to_owned());
        assert_eq!((envelope.waiting_since, envelope.waits, envelope.attempts()), (None, 0, 1));
    }
}
