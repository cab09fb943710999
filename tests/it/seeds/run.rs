//! Runs seeds: plays, heals, waits, lets a person decide about what is dead, and holds what is left against the model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use omni_relay::simulator::JobState;
use serde_json::Value;

use super::bed::{Bed, KEYS, bearer};
use super::look::{Looker, Snapshot};
use super::model::Model;
use super::play::{SECRET_WORD, Story};
use super::script::{Script, TENANTS};
use crate::world::SECRET;

/// Until nothing moves any more.
const QUIET_WITHIN: Duration = Duration::from_secs(20);
/// From the end of the play to that of the jobs that are held: those of dead prompts would keep their conversations for ever.
const HELD_FOR: Duration = Duration::from_secs(2);
/// Until a copy of every webhook was answered.
const RESENT_WITHIN: Duration = Duration::from_secs(5);
/// Times that a person looks through the letters; the last ones are discarded.
const ROUNDS: usize = 6;

/// What came of a seed.
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) line: String,
    pub(super) broken: Vec<String>,
}

/// One seed, to its end, on a thread of its own. What is left of one that fails is in the folder that the report names.
pub(super) fn seed(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tokio::task::LocalSet::new().run_until(one(seed)))
}

async fn one(seed: u64) -> Report {
    let folder = folder(seed);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for the story");
    let started = Instant::now();
    let script = Script::new(seed);
    let bed = Bed::new(&script, &folder).await;
    let story = Story::new(script, bed);
    let playing = story.clone();
    // A task of its own: a panic is one more thing that went wrong.
    let end = tokio::task::spawn_local(async move { whole(&playing).await }).await;
    let mut broken = match end {
        Ok(wrong) => wrong,
        Err(error) => vec![format!("the story itself failed: {error}")],
    };
    broken.splice(0..0, story.book().violations.clone());
    let book = story.book();
    let line = format!(
        "seed {seed}: {} operations, {} prompts, {} jobs, {} faults, {}{:.1} s: {}",
        story.script.steps.len(),
        book.prompts.len(),
        story.bed.sim.jobs().len(),
        book.faults,
        book.ends,
        started.elapsed().as_secs_f64(),
        if broken.is_empty() { "ok" } else { "FAILED" },
    );
    if broken.is_empty() {
        let _ = std::fs::remove_dir_all(&folder);
    } else {
        let text = format!("{line}\n{}\n\n{}", broken.join("\n"), book.history());
        std::fs::write(folder.join("history.txt"), text).expect("the history can be written");
    }
    Report { seed, line, broken }
}

pub(super) fn folder(seed: u64) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("story").join(format!("seed-{seed}"))
}

async fn whole(story: &Arc<Story>) -> Vec<String> {
    story.play().await;
    story.book().note("the play is over");
    story.bed.sim.heal();
    story.learn().await;
    let mut looker = Looker::new(&story.bed).await.expect("redis answers");
    for round in 0..ROUNDS {
        if let Err(loose) = quiet(story, &mut looker).await {
            story.leave(&mut looker).await;
            return vec![format!("P1, P4: it did not come to rest: {loose}")];
        }
        story.book().note("nothing moves");
        if !story.decide(round).await {
            break;
        }
    }
    // Late copies of everything, when all is over.
    story.resend_everything().await;
    let rest = quiet(story, &mut looker).await.err().map(|loose| format!("P1: after the last webhooks: {loose}"));
    let letters = story.letters(0).await.map_or(0, |letters| letters.len());
    let mut wrong: Vec<String> = rest.into_iter().collect();
    if letters > 0 {
        wrong.push(format!("{letters} letters stay open"));
    }
    let seen = looker.snapshot().await.expect("redis answers");
    let messages = story.messages().await;
    story.book().ends = ends(&seen);
    wrong.extend(Model::new(&story.book(), &seen, &story.bed.sim.jobs(), &messages, story.script.max_wait).check());
    wrong.extend(story.logs_are_clean().await);
    if !wrong.is_empty() {
        story.keep(&seen);
    }
    wrong
}

/// How many ended in which way.
fn ends(seen: &Snapshot) -> String {
    let mut times = BTreeMap::<&str, usize>::new();
    for record in seen.records.values() {
        *times.entry(record["phase"].as_str()).or_default() += 1;
        *times.entry("dead meanwhile").or_default() += usize::from(record.contains_key("at:dead"));
    }
    times.iter().fold(String::new(), |line, (phase, times)| format!("{line}{times} {phase}, "))
}

/// Waits until nothing moves, or says what still does.
async fn quiet(story: &Story, looker: &mut Looker) -> Result<(), String> {
    let give_up = Instant::now() + QUIET_WITHIN;
    loop {
        match looker.loose_end().await.map_err(|error| error.to_string())? {
            None => return Ok(()),
            Some(loose) if Instant::now() > give_up => return Err(loose),
            Some(_) => tokio::time::sleep(Duration::from_millis(30)).await,
        }
        if Instant::now() + QUIET_WITHIN > give_up + HELD_FOR {
            story.release_everything();
        }
    }
}

impl Story {
    /// Callers that were told nothing ask once more, with the same idempotency key.
    async fn learn(&self) {
        let doubtful = |story: &Self| {
            let book = story.book();
            let owed = book.prompts.values().filter(|prompt| prompt.in_doubt && !prompt.is_owed());
            owed.map(|prompt| prompt.ask.clone()).filter(|ask| ask.idempotent).collect::<Vec<_>>()
        };
        for attempt in 0..50 {
            let asks = doubtful(self);
            if asks.is_empty() {
                return;
            }
            for ask in asks {
                let replica = attempt % self.bed.urls.len();
                let outcome = if ask.pushed { self.push(&ask).await } else { self.post(&ask, replica).await };
                self.book().note(&format!("asked again {}: {outcome}", ask.number));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.book().violation("a caller cannot learn what came of its prompt".to_owned());
    }

    /// A person decides about every open letter; `false` when there is none.
    async fn decide(&self, round: usize) -> bool {
        let mut rng = Rng::with_seed(self.script.seed ^ (round as u64) << 32);
        let replica = round % self.bed.urls.len();
        let Some(letters) = self.letters(replica).await else {
            self.book().violation("the letters cannot be listed".to_owned());
            return false;
        };
        for letter in &letters {
            // One that was made by nobody we know would be lost with its letter.
            let is_ours = letter["promptId"].is_string() || letter["stage"] == "intake";
            let replay = !is_ours || round == 0 && rng.bool();
            let outcome = self.judge(&letter["id"], replica, replay).await;
            let (reason, error) = (&letter["reason"], &letter["error"]);
            self.book().note(&format!("letter {reason} {error}, replay {replay}: {outcome}"));
        }
        !letters.is_empty()
    }

    fn release_everything(&self) {
        for job in self.bed.sim.jobs().iter().filter(|job| !job.state.is_final()) {
            self.bed.sim.release(job.id);
        }
    }

    async fn resend_everything(&self) {
        let sim = &self.bed.sim;
        let deliveries = || sim.jobs().iter().map(|job| job.deliveries).sum::<usize>();
        let jobs: Vec<_> = sim.jobs().into_iter().filter(|job| job.state.is_final()).collect();
        let wanted = deliveries() + jobs.len();
        for job in jobs {
            sim.resend(job.id);
        }
        let give_up = Instant::now() + RESENT_WITHIN;
        while self.script.webhooks && deliveries() < wanted && Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What Omni says about each complete job.
    async fn messages(&self) -> BTreeMap<String, String> {
        let mut messages = BTreeMap::new();
        for job in self.bed.sim.jobs().iter().filter(|job| job.state == JobState::Complete) {
            let url = format!("{}/api/v1/ai/jobs/{}/result", self.bed.sim.url(), job.id);
            for _ in 0..40 {
                let response = reqwest::Client::new()
                    .get(&url)
                    .bearer_auth("omni_osk_of-a-person")
                    .send()
                    .await
                    .expect("omni answers");
                if response.status() == 200 {
                    let body: Value = response.json().await.expect("JSON");
                    messages.insert(job.id.to_string(), body["message"].as_str().unwrap_or_default().to_owned());
                    break;
                }
            }
        }
        messages
    }

    /// P12: no prompt, secret or key in a log; and nobody panicked.
    async fn logs_are_clean(&self) -> Vec<String> {
        let mut secrets = vec![SECRET_WORD.to_owned(), SECRET.to_owned(), "panicked at".to_owned()];
        secrets.extend(KEYS.map(str::to_owned));
        secrets.extend(TENANTS.map(bearer));
        let mut wrong = Vec::new();
        for (index, relay) in self.bed.relays.iter().enumerate() {
            let log = relay.lock().await.log();
            let found = secrets.iter().filter(|secret| log.contains(secret.as_str()));
            wrong.extend(found.map(|secret| format!("P12: the log of replica {index} has {secret:?}")));
        }
        wrong
    }

    async fn leave(&self, looker: &mut Looker) {
        if let Ok(seen) = looker.snapshot().await {
            self.keep(&seen);
        }
    }

    /// What Redis and Omni hold, for whoever looks into a failure.
    fn keep(&self, seen: &Snapshot) {
        use std::fmt::Write;

        let mut text = String::new();
        for (id, record) in &seen.records {
            let record: BTreeMap<_, _> = record.iter().filter(|(name, _)| *name != "request").collect();
            let _ = writeln!(text, "record {id} {record:?}");
        }
        for (conversation, entries) in &seen.conversations {
            for (id, entry) in entries {
                let (kind, data) = (&entry["type"], &entry["data"]);
                let _ = writeln!(
                    text,
                    "{conversation} {id} {kind} {} number {} job {} {}",
                    data["promptId"], data["metadata"]["number"], data["jobId"], data["error"]
                );
            }
        }
        for job in self.bed.sim.jobs() {
            let state = job.state.as_str();
            let _ = writeln!(
                text,
                "job {} {state} {:?} to {:?} conversation {} deliveries {} {:?} cancel asked {} {}",
                job.id,
                job.created,
                job.finished,
                job.conversation_id,
                job.deliveries,
                job.last_delivery,
                job.cancel_asked,
                job.prompt
            );
        }
        for request in self.bed.sim.requests() {
            let _ = writeln!(text, "{} {} {:?}", request.method, request.path, request.status);
        }
        std::fs::write(self.bed.folder.join("left.txt"), text).expect("what is left can be written");
    }
}
