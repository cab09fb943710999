//! run, drive, halt: decisions about many letters, written down so that whoever drives one can be replaced.
//!
//! Before any of them is decided on, letters are counted and the place behind them is kept (`counted`), beside the place
//! in front of them (`position`). Who goes on looks at them again and counts none twice; those that were decided on are not
//! open any more. What came of them is counted by the moves that decide.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::try_join;
use jiff::Timestamp;
use serde_json::Value;

use super::letters::{Cursor, Growing, Order as Direction, Page, STEP};
use super::script::{Move, script, unexpected, with_keys};
use super::{Store, StoreError};
use crate::model::Tenant;
use crate::model::run::{Action, Counts, Group, Groups, Order, Progress, Run, RunState, WholeRun};
use crate::runtime::millis;

static RUN: Move = script!("run");
static DRIVE: Move = script!("drive");
static HALT: Move = script!("halt");

/// How long runs are kept.
const LIFE: Duration = Duration::from_hours(90 * 24);
/// How long a driver that says nothing holds a run.
pub const HELD: Duration = Duration::from_secs(15);
/// Groups that are shown.
const SHOWN: usize = 20;
const CORRUPT: StoreError = StoreError::Corrupt { what: "a run" };

/// A run as its driver needs it.
#[derive(Debug)]
pub struct Driven {
    /// What was asked for, and where it stands.
    pub run: Run,
    /// Where to go on.
    pub place: Place,
    /// What was met so far.
    pub groups: Groups,
}

/// How far a driver is.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Letters up to here are done with.
    pub position: Option<Cursor>,
    /// Letters up to here are counted.
    pub counted: Option<Cursor>,
    /// Letters looked at.
    pub looked_at: u64,
    /// Letters that fitted.
    pub matched: u64,
    /// Letters that cannot be decided on.
    pub failed: u64,
    /// Some letters that fitted.
    pub samples: Vec<Value>,
}

/// What a driver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driving {
    /// Go on.
    On,
    /// Somebody else drives it by now.
    Lost,
    /// It has ended, or somebody stopped it.
    Ended,
}

impl Store {
    /// Writes a run down. With a `driver` it is the driver's, otherwise the next relay's that looks.
    pub async fn create_run(
        &self,
        id: &str,
        order: Order,
        who: &str,
        now: Timestamp,
        driver: Option<&str>,
    ) -> Result<Run, StoreError> {
        let keys = &self.keys;
        let [_, lease, run] = keys.run(id);
        let of = self.letters_between(order.filter.since, order.filter.until).await?;
        let details = serde_json::to_string(&order).map_err(|_| CORRUPT)?;
        let filter = serde_json::to_string(&order.filter).map_err(|_| CORRUPT)?;
        let mut call = with_keys(&RUN, &[&keys.runs, &keys.runs_running, &run, &lease, &keys.audit]);
        call.arg(id).arg(now.as_millisecond()).arg(millis(LIFE));
        call.arg(driver.unwrap_or_default()).arg(millis(HELD)).arg(who).arg(details);
        for (name, value) in [
            ("v", "1"),
            ("action", order.action.as_str()),
            ("filter", &filter),
            ("rate", &order.rate.to_string()),
            ("dryRun", if order.dry_run { "1" } else { "0" }),
            ("who", who),
            ("state", RunState::Running.as_str()),
            ("createdAt", &now.as_millisecond().to_string()),
            ("of", &of.to_string()),
        ] {
            call.arg(name).arg(value);
        }
        self.words(&call).await?;
        Ok(Run {
            id: id.to_owned(),
            order,
            who: who.to_owned(),
            state: RunState::Running,
            created_at: now,
            ended_at: None,
            error: None,
            counts: Counts::default(),
            progress: Progress { looked_at: 0, of },
        })
    }

    async fn letters_between(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Result<u64, StoreError> {
        let mut count = redis::cmd("ZCOUNT");
        count.arg(&self.keys.dead);
        count.arg(since.map_or_else(|| "-inf".to_owned(), |at| at.as_millisecond().to_string()));
        count.arg(until.map_or_else(|| "+inf".to_owned(), |at| format!("({}", at.as_millisecond())));
        self.redis.query(&count).await
    }

    /// A run with its largest groups; `None` when it is unknown, or its life is over.
    pub async fn run(&self, id: &str) -> Result<Option<WholeRun>, StoreError> {
        let Some(Driven { run, place, groups }) = self.driven_run(id).await? else { return Ok(None) };
        let mut groups = groups.sorted();
        let more_groups = groups.len().saturating_sub(SHOWN);
        groups.truncate(SHOWN);
        Ok(Some(WholeRun { run, groups, more_groups, samples: place.samples }))
    }

    /// A run as its driver needs it.
    pub async fn driven_run(&self, id: &str) -> Result<Option<Driven>, StoreError> {
        let [groups, _, run] = self.keys.run(id);
        let (mut fields, mut causes) = (redis::cmd("HGETALL"), redis::cmd("HGETALL"));
        fields.arg(run);
        causes.arg(groups);
        let (fields, causes): (HashMap<String, String>, HashMap<String, String>) =
            try_join!(self.redis.query(&fields), self.redis.query(&causes))?;
        if fields.is_empty() {
            return Ok(None);
        }
        let groups = causes.values().map(|text| serde_json::from_str::<Group>(text).map_err(|_| CORRUPT));
        Ok(Some(Driven { run: parse(id, &fields)?, place: place(&fields)?, groups: groups.collect::<Result<_, _>>()? }))
    }

    /// Runs, the newest first: all, or those over the letters of one tenant.
    pub async fn runs(&self, of: Option<&Tenant>, from: Option<Cursor>, limit: usize) -> Result<Page<Run>, StoreError> {
        let fits = |run: &Run| of.is_none_or(|tenant| run.order.filter.tenant.as_ref() == Some(tenant));
        let mut page = Growing::new(from, limit);
        loop {
            let behind = page.behind.as_ref();
            let found = self.page(&self.keys.runs, (None, None), Direction::Newest, behind, STEP).await?;
            let runs = try_join_all(found.iter().map(|place| self.listed_run(&place.id))).await?;
            let runs = runs.into_iter().map(|run| run.filter(fits));
            page = match page.take(found.into_iter().zip(runs).collect()) {
                Ok(whole) => return Ok(whole),
                Err(growing) => growing,
            };
        }
    }

    async fn listed_run(&self, id: &str) -> Result<Option<Run>, StoreError> {
        let [.., run] = self.keys.run(id);
        let mut command = redis::cmd("HGETALL");
        command.arg(run);
        let fields: HashMap<String, String> = self.redis.query(&command).await?;
        if fields.is_empty() { Ok(None) } else { parse(id, &fields).map(Some) }
    }

    /// Runs that go on.
    pub async fn running_runs(&self) -> Result<Vec<String>, StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(&self.keys.runs_running).arg(0).arg(-1);
        self.redis.query(&command).await
    }

    /// Takes or keeps the right to drive a run; `false` while somebody else has it.
    pub async fn hold_run(&self, id: &str, driver: &str) -> Result<bool, StoreError> {
        self.lease_at(&self.keys.run(id)[1], driver, HELD).await
    }

    /// Gives the right back: somebody else goes on at once.
    pub async fn leave_run(&self, id: &str, driver: &str) -> Result<bool, StoreError> {
        self.lease_at(&self.keys.run(id)[1], driver, Duration::ZERO).await
    }

    /// Writes down how far a driver is, before it goes on to what it has counted; keeps its lease.
    pub async fn drive_run(
        &self,
        id: &str,
        driver: &str,
        place: &Place,
        changed: &[&Group],
    ) -> Result<Driving, StoreError> {
        self.try_drive(id, driver, place, changed, None, 0).await
    }

    /// Ends a run, for its driver.
    pub async fn end_run(
        &self,
        id: &str,
        driver: &str,
        place: &Place,
        (state, error): (RunState, &str),
        now: u64,
    ) -> Result<Driving, StoreError> {
        self.try_drive(id, driver, place, &[], Some((state, error)), now).await
    }

    async fn try_drive(
        &self,
        id: &str,
        driver: &str,
        place: &Place,
        changed: &[&Group],
        end: Option<(RunState, &str)>,
        now: u64,
    ) -> Result<Driving, StoreError> {
        let [groups, lease, run] = self.keys.run(id);
        let cursor = |cursor: &Option<Cursor>| cursor.as_ref().map(ToString::to_string).unwrap_or_default();
        let fields = [
            ("position", cursor(&place.position)),
            ("counted", cursor(&place.counted)),
            ("lookedAt", place.looked_at.to_string()),
            ("matched", place.matched.to_string()),
            ("samples", Value::from(place.samples.clone()).to_string()),
            ("error", end.map(|(_, error)| error.to_owned()).unwrap_or_default()),
        ];
        let mut call = with_keys(&DRIVE, &[&run, &lease, &groups, &self.keys.runs_running]);
        call.arg(id).arg(driver).arg(millis(HELD)).arg(end.map(|(state, _)| state.as_str()).unwrap_or_default());
        call.arg(now).arg(millis(LIFE)).arg(place.failed).arg(2 * fields.len());
        for (name, value) in fields {
            call.arg(name).arg(value);
        }
        for group in changed {
            call.arg(&group.fingerprint).arg(serde_json::to_string(group).map_err(|_| CORRUPT)?);
        }
        match self.words(&call).await?.first().map(String::as_str) {
            Some("on") => Ok(Driving::On),
            Some("lost") => Ok(Driving::Lost),
            Some("ended") => Ok(Driving::Ended),
            _ => Err(unexpected()),
        }
    }

    /// Stops a run, for who asks. Answers whether it was running; `None` when it is unknown.
    pub async fn stop_run(&self, id: &str, who: &str, now: u64) -> Result<Option<bool>, StoreError> {
        let [.., run] = self.keys.run(id);
        let mut call = with_keys(&HALT, &[&run, &self.keys.runs_running, &self.keys.audit]);
        call.arg(id).arg(now).arg(who);
        match self.words(&call).await?.first().map(String::as_str) {
            Some("stopped") => Ok(Some(true)),
            Some("ended") => Ok(Some(false)),
            Some("unknown") => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// Counts a letter that was no more as a run had found it.
    pub async fn count_already(&self, run: &str) -> Result<(), StoreError> {
        let [.., run] = self.keys.run(run);
        let mut command = redis::cmd("HINCRBY");
        command.arg(run).arg("already").arg(1);
        self.redis.query(&command).await
    }
}

fn parse(id: &str, fields: &HashMap<String, String>) -> Result<Run, StoreError> {
    let text = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let word = |name: &str| Value::from(text(name));
    let number = |name: &str| fields.get(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default();
    let time = |name: &str| fields.get(name)?.parse().ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    let order = Order {
        action: serde_json::from_value::<Action>(word("action")).map_err(|_| CORRUPT)?,
        filter: serde_json::from_str(text("filter")).map_err(|_| CORRUPT)?,
        rate: text("rate").parse().map_err(|_| CORRUPT)?,
        dry_run: text("dryRun") == "1",
    };
    Ok(Run {
        id: id.to_owned(),
        order,
        who: text("who").to_owned(),
        state: serde_json::from_value::<RunState>(word("state")).map_err(|_| CORRUPT)?,
        created_at: time("createdAt").ok_or(CORRUPT)?,
        ended_at: time("endedAt"),
        error: fields.get("error").filter(|error| !error.is_empty()).cloned(),
        counts: Counts {
            matched: number("matched"),
            replayed: number("replayed"),
            discarded: number("discarded"),
            already: number("already"),
            failed: number("failed"),
        },
        progress: Progress { looked_at: number("lookedAt"), of: number("of") },
    })
}

fn place(fields: &HashMap<String, String>) -> Result<Place, StoreError> {
    let cursor = |name: &str| fields.get(name).and_then(|text| text.parse().ok());
    let number = |name: &str| fields.get(name).and_then(|value| value.parse().ok()).unwrap_or_default();
    let samples = fields.get("samples").map(|text| serde_json::from_str(text).map_err(|_| CORRUPT)).transpose()?;
    Ok(Place {
        position: cursor("position"),
        counted: cursor("counted"),
        looked_at: number("lookedAt"),
        matched: number("matched"),
        failed: number("failed"),
        samples: samples.unwrap_or_default(),
    })
}
