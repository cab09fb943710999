//! runs: takes what a person decided about many dead letters. Leaves behind each letter decided on, as if it alone had been,
//! the oldest first, those of one conversation in order. Safe to repeat, and for another relay to go on with, because a
//! letter is decided on once and the place is written down before the letters behind it are.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, error, info};
use uuid::Uuid;

use super::DeadLetters;
use crate::model::PromptId;
use crate::model::letter::{Letter, LetterFilter};
use crate::model::run::{Group, Groups, Order, Run, RunState, WholeRun};
use crate::runtime::{Clock, Lifecycle, Stop, chain, failpoint};
use crate::store::letters::{Cursor, Order as Direction};
use crate::store::runs::{Driving, Place};
use crate::store::{Store, StoreError};

/// Pause between two looks for runs that nobody drives.
const LOOK: Duration = Duration::from_secs(1);
/// Letters looked at, and decided on, before a stop is obeyed.
const BATCH: usize = 500;
/// Letters decided on at once.
const HANDS: usize = 64;
/// Letters that a run keeps as samples.
const SAMPLES: usize = 5;

/// Asks for runs, and drives them.
#[derive(Clone)]
pub struct Runs {
    store: Store,
    letters: DeadLetters,
    clock: Clock,
    driver: Arc<str>,
    created: Arc<Notify>,
}

/// How driving a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drove {
    /// The run has ended.
    Ended,
    /// Somebody else drives it.
    Elsewhere,
    /// This process stops; somebody else goes on.
    Interrupted,
}

impl Runs {
    /// Runs that decide through `letters`.
    pub fn new(store: Store, letters: DeadLetters, clock: Clock) -> Self {
        let driver = format!("driver-{}", Uuid::new_v4().simple()).into();
        Self { store, letters, clock, driver, created: Arc::default() }
    }

    /// Asks for a run. A relay drives it, this one at once where [`run`] runs.
    pub async fn create(&self, order: Order, who: &str) -> Result<Run, StoreError> {
        let run = self.write(order, who, None).await?;
        self.created.notify_one();
        Ok(run)
    }

    /// Asks for a run that the caller drives. Should it stop doing so, a relay goes on.
    pub async fn create_mine(&self, order: Order, who: &str) -> Result<Run, StoreError> {
        self.write(order, who, Some(&self.driver)).await
    }

    async fn write(&self, mut order: Order, who: &str, driver: Option<&str>) -> Result<Run, StoreError> {
        let at = |ms: u64| Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        let now_ms = self.clock.now_ms();
        // What dies while it runs, again or for the first time, is not meant. What died this very millisecond is.
        let (now, end) = (at(now_ms), at(now_ms + 1));
        order.filter.until = Some(order.filter.until.map_or(end, |until| until.min(end)));
        let id = PromptId::new(now).to_string();
        let run = self.store.create_run(&id, order, who, now, driver).await?;
        let (action, dry_run) = (run.order.action.as_str(), run.order.dry_run);
        info!(run = run.id, who, action, dry_run, "run asked for");
        Ok(run)
    }

    /// Stops a run that goes on; its driver obeys before the next letters. `None` when it is unknown.
    pub async fn stop(&self, id: &str, who: &str) -> Result<Option<WholeRun>, StoreError> {
        if self.store.stop_run(id, who, self.clock.now_ms()).await? == Some(true) {
            info!(run = id, who, "run stopped");
        }
        self.store.run(id).await
    }

    /// Letters that fit by their cause, the largest group first: all of them, however many.
    pub async fn groups(&self, filter: &LetterFilter) -> Result<Vec<Group>, StoreError> {
        let (mut groups, mut behind) = (Groups::default(), None);
        loop {
            let found = self.store.look_at_letters(filter, Direction::Oldest, behind.as_ref(), BATCH).await?;
            for letter in found.iter().filter_map(|(_, letter)| letter.as_ref()) {
                groups.add(letter);
            }
            if found.len() < BATCH {
                return Ok(groups.sorted());
            }
            behind = found.into_iter().last().map(|(place, _)| place);
        }
    }

    /// Drives a run to its end, if nobody else does.
    pub async fn drive(&self, id: &str, stop: &Stop) -> Result<Drove, StoreError> {
        if !self.store.hold_run(id, &self.driver).await? {
            return Ok(Drove::Elsewhere);
        }
        let Some(driven) = self.store.driven_run(id).await? else {
            self.store.stop_run(id, "", self.clock.now_ms()).await?;
            return Ok(Drove::Ended);
        };
        let mut drive = Drive { runs: self, run: driven.run, place: driven.place, groups: driven.groups };
        let ended = match drive.letters(stop).await {
            Ok(Some(early)) => return Ok(early),
            Ok(None) => (RunState::Done, String::new()),
            Err(error) if error.passes() => return Err(error),
            Err(error) => {
                error!(run = id, error = %chain(&error), "run failed");
                (RunState::Failed, error.to_string())
            }
        };
        let now = self.clock.now_ms();
        let told = self.store.end_run(id, &self.driver, &drive.place, (ended.0, &ended.1), now).await?;
        if told == Driving::Lost {
            return Ok(Drove::Elsewhere);
        }
        info!(run = id, state = ended.0.as_str(), "run ended");
        Ok(Drove::Ended)
    }

    async fn look(&self, id: &str, stop: &Stop) {
        match self.drive(id, stop).await {
            Ok(_) => {}
            Err(error) if error.passes() => debug!(run = id, error = %chain(&error), "left a run for later"),
            Err(error) => error!(run = id, error = %chain(&error), "failed to drive a run"),
        }
    }
}

/// One drive of a run.
struct Drive<'a> {
    runs: &'a Runs,
    run: Run,
    place: Place,
    groups: Groups,
}

impl Drive<'_> {
    /// All letters from its place on. `None`: there are no more.
    async fn letters(&mut self, stop: &Stop) -> Result<Option<Drove>, StoreError> {
        if self.run.state != RunState::Running {
            return Ok(None);
        }
        let rate = self.run.order.rate;
        let batch = if rate == 0 || self.run.order.dry_run { BATCH } else { BATCH.min(rate as usize) };
        loop {
            let (filter, behind) = (&self.run.order.filter, self.place.position.as_ref());
            let found = self.runs.store.look_at_letters(filter, Direction::Oldest, behind, BATCH).await?;
            let last = found.len() < BATCH;
            for few in found.chunks(batch) {
                if stop.is_requested() {
                    self.runs.store.leave_run(&self.run.id, &self.runs.driver).await?;
                    return Ok(Some(Drove::Interrupted));
                }
                let began = Instant::now();
                match self.count(few).await? {
                    Driving::On => {}
                    Driving::Lost => return Ok(Some(Drove::Elsewhere)),
                    Driving::Ended => return Ok(Some(Drove::Ended)),
                }
                failpoint::hit("run.counted").await;
                let decided = self.decide(few).await?;
                self.place.position = few.last().map(|(at, _)| at.clone());
                self.place.looked_at += few.len() as u64;
                if rate > 0 {
                    let next = began + Duration::from_secs(1).mul_f64(f64::from(decided) / f64::from(rate));
                    tokio::select! {
                        () = tokio::time::sleep_until(next) => {}
                        () = stop.requested() => {}
                    }
                }
            }
            if last {
                return Ok(None);
            }
        }
    }

    /// Counts letters that were not counted yet, and writes down that they are next.
    async fn count(&mut self, few: &[(Cursor, Option<Letter>)]) -> Result<Driving, StoreError> {
        let mut changed = HashSet::new();
        for (at, letter) in few {
            if self.place.counted.as_ref().is_some_and(|counted| at <= counted) {
                continue;
            }
            self.place.counted = Some(at.clone());
            let Some(letter) = letter else { continue };
            self.place.matched += 1;
            changed.insert(self.groups.add(letter).fingerprint.clone());
            if self.place.samples.len() < SAMPLES {
                self.place.samples.extend(serde_json::to_value(letter).ok());
            }
        }
        let changed: Vec<&Group> = changed.iter().filter_map(|cause| self.groups.get(cause)).collect();
        self.runs.store.drive_run(&self.run.id, &self.runs.driver, &self.place, &changed).await
    }

    /// Decides on letters, those of one conversation one after the other. Answers on how many.
    async fn decide(&mut self, few: &[(Cursor, Option<Letter>)]) -> Result<u32, StoreError> {
        if self.run.order.dry_run {
            return Ok(0);
        }
        let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for letter in few.iter().filter_map(|(_, letter)| letter.as_ref()) {
            let line = letter.conversation.as_ref().map_or(letter.id.as_str(), |conversation| conversation.as_str());
            lines.entry(line).or_default().push(letter.id.clone());
        }
        let count = lines.values().map(Vec::len).sum::<usize>();
        let (letters, run) = (&self.runs.letters, &self.run);
        let lines = lines.into_values().map(|ids| in_order(letters, run, ids));
        let failed: Vec<u64> = stream::iter(lines).buffer_unordered(HANDS).try_collect().await?;
        self.place.failed += failed.into_iter().sum::<u64>();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Decides on letters of one conversation in the order in which they were asked: ids sort by acceptance. Answers how many
/// cannot be decided on.
async fn in_order(letters: &DeadLetters, run: &Run, mut ids: Vec<String>) -> Result<u64, StoreError> {
    ids.sort_unstable();
    let mut failed = 0;
    for id in &ids {
        match letters.decide_in(run, id).await {
            Ok(()) => {}
            Err(error) if error.passes() => return Err(error),
            Err(error) => {
                error!(run = run.id, letter = id.as_str(), error = %chain(&error), "failed to decide on a letter");
                failed += 1;
            }
        }
    }
    Ok(failed)
}

/// Drives runs that nobody drives, until the stop.
pub async fn run(runs: Runs, lifecycle: Lifecycle) -> Result<(), StoreError> {
    let stop = lifecycle.stop_handle();
    let mut driven: Vec<(String, JoinHandle<Option<()>>)> = Vec::new();
    while !stop.is_requested() {
        driven.retain(|(_, drive)| !drive.is_finished());
        match runs.store.running_runs().await {
            Ok(ids) => {
                for id in ids.into_iter().filter(|id| driven.iter().all(|(known, _)| known != id)).collect::<Vec<_>>() {
                    let (runs, stop, run) = (runs.clone(), stop.clone(), id.clone());
                    driven.push((id, lifecycle.spawn_child("run", async move { runs.look(&run, &stop).await })));
                }
            }
            Err(error) if error.passes() => {}
            Err(error) => error!(error = %chain(&error), "failed to look for runs"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = runs.created.notified() => {}
            () = stop.requested() => {}
        }
    }
    Ok(())
}
