//! The model: what must be true of a story once it is over, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use omni_relay::simulator::{JobState, JobView};
use serde_json::Value;

use super::bed::DEADLINE;
use super::book::{Book, Prompt};
use super::look::Snapshot;
use super::play::{has_file, number_of};
use crate::world::{is_terminal, rank};

/// Everything that is known of a story that is over.
pub(super) struct Model<'a> {
    pub(super) book: &'a Book,
    pub(super) seen: &'a Snapshot,
    pub(super) jobs: &'a [JobView],
    /// What Omni answers for each complete job.
    pub(super) messages: &'a BTreeMap<String, String>,
    max_wait: Duration,
    wrong: Vec<String>,
}

/// What became of a prompt: its id, and its end.
struct Told<'a> {
    id: String,
    conversation: &'a str,
    end: Option<&'a Value>,
}

impl<'a> Model<'a> {
    pub(super) fn new(
        book: &'a Book,
        seen: &'a Snapshot,
        jobs: &'a [JobView],
        messages: &'a BTreeMap<String, String>,
        max_wait: Duration,
    ) -> Self {
        Self { book, seen, jobs, messages, max_wait, wrong: Vec::new() }
    }

    /// Every promise that was broken.
    pub(super) fn check(mut self) -> Vec<String> {
        self.entries_stand_in_order();
        self.answers_hold_every_end_once();
        self.records_say_what_was_published();
        self.files_go_along_and_nowhere_else();
        let told = self.told();
        for (number, prompt) in &self.book.prompts {
            self.a_prompt_ends_once(*number, prompt, told.get(number).map_or(&[][..], Vec::as_slice));
        }
        self.nothing_is_asked_twice(&told);
        self.conversations_go_in_order();
        self.refused_entries_are_told();
        self.jobs_made_elsewhere_are_told();
        self.wrong
    }

    fn wrong(&mut self, text: String) {
        self.wrong.push(text);
    }

    /// P1, P3: each prompt's entries by phase, one end, nothing after it.
    fn entries_stand_in_order(&mut self) {
        let mut wrong = Vec::new();
        for (conversation, entries) in &self.seen.conversations {
            let mut ranks = BTreeMap::<&str, (usize, u64)>::new();
            for (_, entry) in entries {
                let id = entry["data"]["promptId"].as_str().unwrap_or_default();
                let rank = rank(entry);
                let before = ranks.insert(id, rank).unwrap_or((0, 0));
                if rank <= before {
                    wrong.push(format!(
                        "P3: {} of {conversation} stands after a later entry of its prompt",
                        entry["id"]
                    ));
                }
            }
        }
        self.wrong.extend(wrong);
    }

    /// P3: consumers dedupe on the id; only what ends nothing, or belongs to no prompt of ours, may come again.
    fn answers_hold_every_end_once(&mut self) {
        let mut times = BTreeMap::<&str, usize>::new();
        for entry in &self.seen.answers {
            *times.entry(entry["id"].as_str().unwrap_or_default()).or_default() += 1;
        }
        let mut wrong = Vec::new();
        let mut known = BTreeSet::new();
        for (_, entry) in self.seen.conversations.values().flatten() {
            let id = entry["id"].as_str().unwrap_or_default();
            known.insert(id);
            let ours = self.seen.records.contains_key(entry["data"]["promptId"].as_str().unwrap_or_default());
            match (is_terminal(entry), entry["type"] == "omni.delayed", times.get(id).copied().unwrap_or(0)) {
                (true, _, 1) | (false, true, 1..) | (false, false, 0) => {}
                (true, _, 2..) if !ours => {}
                (.., times) => wrong.push(format!("P3: {id} stands {times} times in answers")),
            }
        }
        wrong.extend(times.keys().filter(|id| !known.contains(*id)).map(|id| format!("P3: only answers has {id}")));
        self.wrong.extend(wrong);
    }

    fn records_say_what_was_published(&mut self) {
        let mut wrong = Vec::new();
        for (id, record) in &self.seen.records {
            let (phase, conversation) = (&record["phase"], &record["conversation"]);
            let stream = self.seen.conversations.get(conversation).map_or(&[][..], Vec::as_slice);
            let mut ends =
                stream.iter().filter(|(_, entry)| entry["data"]["promptId"] == id.as_str() && is_terminal(entry));
            match (ends.next(), ends.next()) {
                (Some((entry, end)), None) => {
                    let kind = match phase.as_str() {
                        "answered" => "omni.answer",
                        "failed" => "omni.failed",
                        "cancelled" => "omni.cancelled",
                        "expired" => "omni.expired",
                        other => other,
                    };
                    if end["type"] != kind || record.get("entry") != Some(entry) {
                        wrong.push(format!("P3: {id} is {phase}, and its readers were told {}", end["type"]));
                    }
                }
                (None, _) => {
                    wrong.push(format!("P1: {id} in {conversation} is {phase}, and its readers were told no end"));
                }
                (Some(_), Some(_)) => wrong.push(format!("P3: {id} in {conversation} has two ends")),
            }
        }
        self.wrong.extend(wrong);
    }

    /// Omni got what belongs to a prompt, and nobody keeps it who has ended.
    fn files_go_along_and_nowhere_else(&mut self) {
        for job in self.jobs {
            let expected = number_of(&job.prompt).map_or(0, |number| usize::from(has_file(number)));
            if job.attachments.len() != expected {
                self.wrong.push(format!("job {} has {} files, not {expected}", job.id, job.attachments.len()));
            }
        }
        for id in &self.seen.files {
            let phase = self.seen.records.get(id).map_or("gone", |record| record["phase"].as_str());
            if phase != "dead" {
                self.wrong.push(format!("files of prompt {id}, which is {phase}, are kept"));
            }
        }
    }

    /// By number, what the streams tell.
    fn told(&self) -> BTreeMap<usize, Vec<Told<'a>>> {
        let mut told = BTreeMap::<usize, Vec<Told<'a>>>::new();
        for (conversation, entries) in &self.seen.conversations {
            for (_, entry) in entries {
                let data = &entry["data"];
                let Some(number) = data["metadata"]["number"].as_u64().and_then(|number| number.try_into().ok()) else {
                    continue;
                };
                let id = data["promptId"].as_str().unwrap_or_default();
                let of_number = told.entry(number).or_default();
                let end = is_terminal(entry).then_some(entry);
                match of_number.iter_mut().find(|told| told.id == id && told.conversation == conversation) {
                    Some(told) => told.end = told.end.or(end),
                    None => of_number.push(Told { id: id.to_owned(), conversation, end }),
                }
            }
        }
        told
    }

    /// P1, P9: each prompt that its caller knows of is there once, in its conversation, and ended as it had to.
    fn a_prompt_ends_once(&mut self, number: usize, prompt: &Prompt, told: &[Told<'_>]) {
        match told {
            [] if prompt.is_owed() => self.wrong(format!("P1: nothing is told of prompt {number}, which was accepted")),
            [] => {}
            [one] => {
                if prompt.id.as_ref().is_some_and(|id| *id != one.id) {
                    self.wrong(format!("P1: prompt {number} was accepted under another id"));
                }
                if !prompt.is_owed() && prompt.refused && !prompt.in_doubt {
                    self.wrong(format!("P1: prompt {number} was refused, and is told of"));
                }
                if one.conversation != prompt.ask.conversation() {
                    self.wrong(format!("P9: prompt {number} is told of in {}", one.conversation));
                }
                match one.end {
                    None => self.wrong(format!("P1: prompt {number} has no end")),
                    Some(end) => self.the_end_is_right(number, prompt, &one.id, end),
                }
            }
            many => self.wrong(format!("P1: prompt {number} was accepted {} times", many.len())),
        }
    }

    fn the_end_is_right(&mut self, number: usize, prompt: &Prompt, id: &str, end: &Value) {
        let Some(record) = self.seen.records.get(id) else {
            return self.wrong(format!("prompt {number} has no record"));
        };
        let kind = end["type"].as_str().unwrap_or_default();
        let code = end["data"]["error"]["code"].as_str().unwrap_or_default();
        let marker = |word: &str| prompt.ask.marker.split(',').any(|one| one == word);
        let job = end["data"]["jobId"].as_str().and_then(|id| id.parse().ok());
        let job = job.and_then(|id: uuid::Uuid| self.jobs.iter().find(|job| job.id == id));
        if job.is_some_and(|job| number_of(&job.prompt) != Some(number)) {
            return self.wrong(format!("P9: the end of prompt {number} names another prompt's job"));
        }
        let state = job.map(|job| job.state);
        let right = match (kind, code) {
            ("omni.answer", _) => {
                state == Some(JobState::Complete)
                    && job.and_then(|job| self.messages.get(&job.id.to_string())).map(String::as_str)
                        == end["data"]["message"].as_str()
            }
            ("omni.failed", "discarded") => self.book.discards.contains(id),
            ("omni.failed", "denied") => marker("denied"),
            // Without its webhook nobody says that it was denied.
            ("omni.failed", "job_failed") => marker("denied") && state == Some(JobState::Failed),
            ("omni.failed", "QUERY_EXECUTION_ERROR") => marker("failed"),
            ("omni.failed", code) => code == "omni_422" && marker("refused=422"),
            ("omni.cancelled", _) => prompt.cancelled || (marker("cancelled") && state == Some(JobState::Cancelled)),
            ("omni.expired", _) => was_late(record, prompt, self.max_wait),
            _ => false,
        };
        if !right {
            let state = state.map_or("NONE", JobState::as_str);
            self.wrong(format!(
                "P1: prompt {number} ({}) ended as {kind} {code}, its job as {state}",
                prompt.ask.marker
            ));
        }
    }

    /// P5: one create a prompt, and one for each time that a person replayed it.
    fn nothing_is_asked_twice(&mut self, told: &BTreeMap<usize, Vec<Told<'_>>>) {
        let mut creates = BTreeMap::<usize, u32>::new();
        for number in self.jobs.iter().filter_map(|job| number_of(&job.prompt)) {
            *creates.entry(number).or_default() += 1;
        }
        for (number, times) in creates {
            let replays = |told: &Told<'_>| self.book.replays.get(&told.id).copied().unwrap_or(0);
            let told = told.get(&number).map_or(&[][..], Vec::as_slice);
            let allowed: u32 = told.iter().map(|told| 1 + replays(told)).sum();
            if times > allowed {
                self.wrong(format!("P5: prompt {number} was asked {times} times, {allowed} allowed"));
            }
        }
    }

    /// P6, P9: a conversation's jobs one after the other, in the order of acceptance, for one user.
    fn conversations_go_in_order(&mut self) {
        let mut lines = BTreeMap::<String, Vec<(&Prompt, &JobView, bool)>>::new();
        for job in self.jobs {
            let Some(prompt) = number_of(&job.prompt).and_then(|number| self.book.prompts.get(&number)) else {
                continue;
            };
            let died = self.died(prompt);
            lines.entry(prompt.ask.conversation()).or_default().push((prompt, job, died));
        }
        let mut wrong = Vec::new();
        for (conversation, line) in lines {
            if line.iter().any(|(_, job, _)| job.user_id != line[0].1.user_id) {
                wrong.push(format!("P9: {conversation} was answered for two users"));
            }
            for (index, (prompt, job, died)) in line.iter().enumerate() {
                for (later, next, later_died) in &line[index + 1..] {
                    if *died || *later_died {
                        continue;
                    }
                    let numbers = (prompt.ask.number, later.ask.number);
                    if job.finished.is_none_or(|finished| finished > next.created) {
                        wrong.push(format!("P6: {conversation} had the jobs of {numbers:?} at once"));
                    }
                    if comes_before(later, prompt) {
                        wrong.push(format!("P6: {conversation} asked {numbers:?} in this order"));
                    }
                }
            }
        }
        self.wrong.extend(wrong);
    }

    /// Whether the prompt was a dead letter at some time: it frees its conversation, and a replay goes behind.
    fn died(&self, prompt: &Prompt) -> bool {
        self.seen.records.values().any(|record| {
            let metadata: Value =
                record.get("metadata").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            metadata["number"] == prompt.ask.number && record.contains_key("at:dead")
        })
    }

    fn refused_entries_are_told(&mut self) {
        for conversation in &self.book.broken {
            let entries = self.seen.conversations.get(conversation).map_or(&[][..], Vec::as_slice);
            let told = entries.iter().filter(|(_, entry)| entry["data"]["error"]["code"] == "invalid_prompt").count();
            if told == 0 {
                self.wrong.push(format!("P1: nothing is told of the entry that was refused in {conversation}"));
            }
        }
    }

    /// P2: what was answered 200 is not lost. Nobody else would ever ask for these.
    fn jobs_made_elsewhere_are_told(&mut self) {
        for (job_id, conversation) in &self.book.elsewhere {
            let delivered = self.jobs.iter().any(|job| job.id == *job_id && job.last_delivery == Some(200));
            let entries = self.seen.conversations.get(&conversation.to_string()).map_or(&[][..], Vec::as_slice);
            let ends = entries.iter().filter(|(_, entry)| is_terminal(entry)).count();
            let discarded = self.book.discards.iter().any(|id| id.starts_with("process-"));
            if ends > 1 || (delivered && ends == 0 && !discarded) {
                self.wrong.push(format!("P2: job {job_id}, made elsewhere, was told {ends} times"));
            }
        }
    }
}

/// Whether the prompt's time may have been over when it expired.
fn was_late(record: &HashMap<String, String>, prompt: &Prompt, max_wait: Duration) -> bool {
    let at = |name: &str| record.get(name).and_then(|text| text.parse::<u64>().ok());
    let Some(ended) = at("at:expired") else { return false };
    let since = |start: Option<u64>, longest: u64| start.is_some_and(|start| ended.saturating_sub(start) >= longest);
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let started = at("at:accepted").max(at("replayedAt"));
    since(at("at:submitted"), millis(DEADLINE))
        || since(started, millis(max_wait))
        || prompt.ask.deadline.is_some_and(|seconds| since(started, seconds * 1000))
}

/// Whether it is certain that the one was accepted before the other.
fn comes_before(one: &Prompt, other: &Prompt) -> bool {
    match (one.entry, other.entry) {
        // One that was pushed again may have been there before.
        (Some(first), Some(second)) => !one.in_doubt && !other.in_doubt && first < second,
        (Some(_), None) => false,
        _ => one.told.is_some_and(|told| told < other.asked),
    }
}
