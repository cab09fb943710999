//! What the people of a story know: what they asked and did, what they were told, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Instant;

use super::script::Ask;

/// Everything that was done and answered, and what was wrong on the way.
pub(super) struct Book {
    born: Instant,
    history: String,
    pub(super) prompts: BTreeMap<usize, Prompt>,
    /// Refused entries that can be read: the conversation of each.
    pub(super) broken: Vec<String>,
    /// Jobs made without the relay.
    pub(super) elsewhere: Vec<(uuid::Uuid, uuid::Uuid)>,
    /// Ids of letters that somebody asked to replay, and how often at most that took effect.
    pub(super) replays: BTreeMap<String, u32>,
    /// Ids of letters that somebody asked to discard.
    pub(super) discards: BTreeSet<String>,
    pub(super) violations: Vec<String>,
    pub(super) faults: usize,
    /// How many prompts ended in which way.
    pub(super) ends: String,
}

/// A prompt as its caller knows it.
pub(super) struct Prompt {
    pub(super) ask: Ask,
    /// When it was asked first.
    pub(super) asked: Instant,
    /// When an answer told that it was accepted.
    pub(super) told: Option<Instant>,
    pub(super) id: Option<String>,
    /// Of pushed ones.
    pub(super) entry: Option<(u64, u64)>,
    /// A call had an answer that says nothing, or none.
    pub(super) in_doubt: bool,
    /// It was refused.
    pub(super) refused: bool,
    /// Somebody asked to cancel it.
    pub(super) cancelled: bool,
}

impl Book {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            history: String::new(),
            prompts: BTreeMap::new(),
            broken: Vec::new(),
            elsewhere: Vec::new(),
            replays: BTreeMap::new(),
            discards: BTreeSet::new(),
            violations: Vec::new(),
            faults: 0,
            ends: String::new(),
        }
    }

    pub(super) fn note(&mut self, text: &str) {
        let _ = writeln!(self.history, "{:>6} {text}", self.born.elapsed().as_millis());
    }

    pub(super) fn violation(&mut self, text: String) {
        self.note(&format!("BROKEN {text}"));
        self.violations.push(text);
    }

    pub(super) fn history(&self) -> &str {
        &self.history
    }

    pub(super) fn asks(&mut self, ask: &Ask) {
        self.prompts.entry(ask.number).or_insert_with(|| Prompt {
            ask: ask.clone(),
            asked: Instant::now(),
            told: None,
            id: None,
            entry: None,
            in_doubt: false,
            refused: false,
            cancelled: false,
        });
    }

    /// A caller was told that its prompt is accepted.
    pub(super) fn accepted(&mut self, number: usize, id: &str) {
        let prompt = self.prompts.get_mut(&number).expect("it was asked");
        let before = prompt.id.replace(id.to_owned());
        prompt.told.get_or_insert_with(Instant::now);
        if before.is_some_and(|before| before != id) {
            self.violation(format!("prompt {number} has two ids for one idempotency key"));
        }
    }

    pub(super) fn in_doubt(&mut self, number: usize) {
        self.prompts.get_mut(&number).expect("it was asked").in_doubt = true;
    }
}

impl Prompt {
    /// Whether its caller is owed an end.
    pub(super) fn is_owed(&self) -> bool {
        self.id.is_some() || self.entry.is_some()
    }
}
