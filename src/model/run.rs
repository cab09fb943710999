//! A run: one decision about many dead letters.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::letter::{Letter, LetterFilter};

/// What a run does with each letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RunAction)]
pub enum Action {
    /// Back to the stage it died in.
    Replay,
    /// Gone; the readers of its prompt are told.
    Discard,
}

impl Action {
    /// For programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RunOrder)]
pub struct Order {
    /// What to do.
    pub action: Action,
    /// With which letters.
    pub filter: LetterFilter,
    /// Letters a second; 0: as fast as it goes.
    pub rate: u32,
    /// Whether nothing is done but counting.
    pub dry_run: bool,
}

impl Order {
    /// Letters a second, unless told otherwise.
    pub const RATE: u32 = 100;
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It goes on, whichever relay drives it.
    Running,
    /// Somebody stopped it.
    Stopped,
    /// Every letter that fitted is decided on, or counted.
    Done,
    /// It cannot go on.
    Failed,
}

impl RunState {
    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What came of a run so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RunCounts)]
pub struct Counts {
    /// Letters that fitted.
    pub matched: u64,
    /// Letters that are under way again.
    pub replayed: u64,
    /// Letters that are gone.
    pub discarded: u64,
    /// Letters that somebody else had decided on, or an answer had overtaken, when it was their turn.
    pub already: u64,
    /// Letters that cannot be decided on; they stay.
    pub failed: u64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RunProgress)]
pub struct Progress {
    /// Letters looked at.
    pub looked_at: u64,
    /// Letters of the time it is about that were open when it began.
    pub of: u64,
}

/// A run, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterRun)]
pub struct Run {
    /// Its name.
    pub id: String,
    /// What was asked for. Its filter always has an end: what dies while it runs is not taken again.
    #[serde(flatten)]
    pub order: Order,
    /// Who asked.
    pub who: String,
    /// Where it stands.
    pub state: RunState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
    /// What came of it.
    pub counts: Counts,
    /// How far it is.
    pub progress: Progress,
}

/// A run with what it met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WholeDeadLetterRun)]
pub struct WholeRun {
    /// What lists show.
    #[serde(flatten)]
    pub run: Run,
    /// The largest groups of letters that fitted.
    pub groups: Vec<Group>,
    /// How many groups there are besides.
    pub more_groups: usize,
    /// Some letters that fitted, as lists show them.
    #[schema(value_type = Vec<Letter>)]
    pub samples: Vec<Value>,
}

/// Letters that died of the same cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetterGroup)]
pub struct Group {
    /// What they have in common, for filters.
    pub fingerprint: String,
    /// Where they died.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// The error of one of them.
    pub error: String,
    /// How many they are.
    pub count: u64,
    /// When the first of them died last.
    pub first_at: Timestamp,
    /// When the last of them did.
    pub last_at: Timestamp,
}

/// Letters by their cause.
#[derive(Debug, Clone, Default)]
pub struct Groups(HashMap<String, Group>);

impl Groups {
    /// Counts a letter; answers its group.
    pub fn add(&mut self, letter: &Letter) -> &Group {
        let group = self.0.entry(letter.fingerprint.clone()).or_insert_with(|| Group {
            fingerprint: letter.fingerprint.clone(),
            stage: letter.stage.clone(),
            reason: letter.reason.clone(),
            error: letter.error.clone(),
            count: 0,
            first_at: letter.last_at,
            last_at: letter.last_at,
        });
        group.count += 1;
        group.first_at = group.first_at.min(letter.last_at);
        group.last_at = group.last_at.max(letter.last_at);
        group
    }

    /// The group of this cause.
    pub fn get(&self, fingerprint: &str) -> Option<&Group> {
        self.0.get(fingerprint)
    }

    /// All of them, the largest first.
    pub fn sorted(self) -> Vec<Group> {
        let mut all: Vec<Group> = self.0.into_values().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
        all
    }
}

impl FromIterator<Group> for Groups {
    fn from_iter<I: IntoIterator<Item = Group>>(groups: I) -> Self {
        Self(groups.into_iter().map(|group| (group.fingerprint.clone(), group)).collect())
    }
}
