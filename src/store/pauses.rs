//! pause, resume: what an operator holds back, stages and tenants.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::delivery::Stream;
use super::script::{Move, script, with_keys};
use super::{Store, StoreError};
use crate::model::Tenant;

static PAUSE: Move = script!("pause");
static RESUME: Move = script!("resume");

/// What can be paused. In text `stage:<name>` or `tenant:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pausable {
    /// A stage: it reads nothing new.
    Stage(Stream),
    /// A tenant: its prompts are accepted, and wait.
    Tenant(Tenant),
}

/// A pause that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// What is paused.
    pub what: Pausable,
    /// By whom, since when, and what they said about it.
    pub note: Note,
}

/// Who paused, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// As the audit names them.
    pub who: String,
    /// By the relay's clock.
    pub at: Timestamp,
    /// What they said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Pausable {
    /// The tenant's name; empty for a stage.
    fn tenant(&self) -> &str {
        match self {
            Self::Stage(_) => "",
            Self::Tenant(tenant) => tenant.as_str(),
        }
    }
}

impl fmt::Display for Pausable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(stream) => write!(f, "stage:{}", stream.stage()),
            Self::Tenant(tenant) => write!(f, "tenant:{}", tenant.as_str()),
        }
    }
}

impl FromStr for Pausable {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':').ok_or(())? {
            ("stage", name) => Stream::of_stage(name).map(Self::Stage).ok_or(()),
            ("tenant", name) if !name.is_empty() => Ok(Self::Tenant(Tenant::new(Some(name)))),
            _ => Err(()),
        }
    }
}

impl Store {
    /// What is paused, stages first. What this version does not know is left out.
    pub async fn pauses(&self) -> Result<Vec<Paused>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(&self.keys.paused);
        let fields: HashMap<String, String> = self.redis.query(&command).await?;
        let known = |(what, note): (&String, &String)| {
            Some(Paused { what: what.parse().ok()?, note: serde_json::from_str(note).ok()? })
        };
        let mut pauses: Vec<Paused> = fields.iter().filter_map(known).collect();
        pauses.sort_by_key(|pause| pause.what.to_string());
        Ok(pauses)
    }

    /// Pauses, and says whether that is news: who paused first stands there.
    pub async fn pause(&self, pause: &Paused) -> Result<bool, StoreError> {
        const WHAT: StoreError = StoreError::Corrupt { what: "a pause" };
        let note = serde_json::to_string(&pause.note).map_err(|_| WHAT)?;
        let details = pause.note.why.as_ref().map(|why| serde_json::json!({"why": why}).to_string());
        let mut call = with_keys(&PAUSE, &[&self.keys.paused, &self.keys.audit, &self.keys.turns]);
        call.arg(pause.what.to_string()).arg(note).arg(&pause.note.who).arg(pause.what.tenant());
        call.arg(details.unwrap_or_default());
        Ok(self.words(&call).await?.first().is_some_and(|word| word == "paused"))
    }

    /// Resumes, and says whether it was paused.
    pub async fn resume(&self, what: &Pausable, who: &str) -> Result<bool, StoreError> {
        let keys = &self.keys;
        let mut call = with_keys(&RESUME, &[&keys.paused, &keys.audit, &keys.turns, &keys.ready(what.tenant())]);
        call.arg(what.to_string()).arg(who).arg(what.tenant());
        Ok(self.words(&call).await?.first().is_some_and(|word| word == "resumed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_paused_has_a_name() {
        for name in ["stage:intake", "stage:submit", "stage:process", "tenant:acme", "tenant:a:b"] {
            assert_eq!(name.parse::<Pausable>().unwrap().to_string(), name);
        }
        for wrong in ["", "submit", "stage:", "stage:reconcile", "tenant:", "relay:1"] {
            assert_eq!(wrong.parse::<Pausable>(), Err(()), "{wrong}");
        }
    }
}
