//! Omni's keys: which one may ask, and when. Every request passes here, so that all replicas together stay inside the
//! budget of each key, and finishing goes before starting (`grant.lua`). What Omni answers to a request is heard here too:
//! a 429 closes its key for everybody, a 401 takes it out of the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::model::Cause;
use crate::omni::{ApiKey, OmniError};
use crate::runtime::Stop;
use crate::runtime::readiness::Handle;
use crate::store::budget::{Closed, Errand, Grant, Quota, Room};
use crate::store::{Store, StoreError};

/// How much rarer quiet jobs are looked at when the budget is used up.
const RAREST: f64 = 4.0;
/// Between two looks at what is used.
const LOOK: Duration = Duration::from_secs(2);

/// The configured keys; there is at least one.
pub struct KeyRing {
    store: Store,
    quota: Quota,
    keys: Vec<Key>,
    next: AtomicUsize,
    readiness: Handle,
}

#[derive(Debug)]
struct Key {
    api: ApiKey,
    /// Requests used or promised in the window when that was looked at last.
    used: AtomicU32,
    /// Whether Omni refused it when it was heard of last.
    refused: AtomicBool,
}

/// Leave to send a request, or the few that were asked for together, with this key.
#[derive(Debug)]
pub struct Permit<'a> {
    key: &'a Key,
    /// By the time of Redis, unix milliseconds.
    at: u64,
    since: Instant,
}

/// Why there is no answer of Omni's.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The budget has no room, or no key is open. Nothing was sent.
    #[error("wait for {}", cause.words())]
    Wait {
        /// Until there is.
        pause: Duration,
        /// What it waits for.
        cause: Cause,
    },
    /// Omni's answer.
    #[error(transparent)]
    Omni(#[from] OmniError),
    /// Omni's answers do not fit together.
    #[error("{0}")]
    Odd(String),
    /// Redis could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyRing {
    /// A ring; `None` without a key.
    pub fn new(store: Store, keys: Vec<ApiKey>, quota: Quota, readiness: Handle) -> Option<Self> {
        let key = |api| Key { api, used: AtomicU32::new(0), refused: AtomicBool::new(false) };
        let keys: Vec<Key> = keys.into_iter().map(key).collect();
        readiness.ready();
        (!keys.is_empty()).then(|| Self { store, quota, keys, next: AtomicUsize::new(0), readiness })
    }

    /// Looks at what is used of every key's window; shows it, and how many are refused, until the stop. A key is named by its
    /// place in the configuration.
    pub async fn watch(self: Arc<Self>, stop: Stop) -> Result<(), StoreError> {
        while !stop.is_requested() {
            metrics::gauge!("omni_relay_omni_keys_refused").set(u32::try_from(self.refusals()).unwrap_or(u32::MAX));
            for (place, key) in (1_usize..).zip(&self.keys) {
                if let Ok(used) = self.store.used(key.api.id(), self.quota).await {
                    key.used.store(used, Ordering::Relaxed);
                    let place = place.to_string();
                    metrics::gauge!("omni_relay_budget_used_requests", "key" => place.clone()).set(used);
                    metrics::gauge!("omni_relay_budget_limit_requests", "key" => place).set(self.quota.limit);
                }
            }
            stop.pause(LOOK).await;
        }
        Ok(())
    }

    /// Another ring has taken its place: no key is shown that only this one has.
    pub fn leave_to(&self, next: &Self) {
        for place in next.keys.len()..self.keys.len() {
            let place = (place + 1).to_string();
            metrics::gauge!("omni_relay_budget_used_requests", "key" => place.clone()).set(0);
            metrics::gauge!("omni_relay_budget_limit_requests", "key" => place).set(0);
        }
    }

    /// How many of `most` creates may start now; with none, how long there will be no room, and why.
    pub async fn startable(&self, most: usize) -> Result<Result<usize, (Duration, Cause)>, StoreError> {
        let mut starts = 0;
        let mut pause = (Duration::MAX, Cause::NoKey);
        for key in &self.keys {
            let wanted = u32::try_from(most - starts).unwrap_or(u32::MAX);
            match self.store.room(key.api.id(), wanted, self.quota).await? {
                Room::For(some) => starts += some.min(wanted) as usize,
                Room::NotBefore(time) => pause = pause.min((time, Cause::Budget)),
                Room::Closed(time, Closed::Throttled) => pause = pause.min((time, Cause::RateLimit)),
                Room::Closed(time, Closed::Refused) => {
                    self.refused(key, true);
                    pause = pause.min((time, Cause::NoKey));
                }
            }
            if starts == most {
                break;
            }
        }
        Ok(if starts > 0 { Ok(starts) } else { Err(pause) })
    }

    /// Every key's id, and the room it has to start jobs. Counts nothing.
    pub async fn rooms(&self) -> Result<Vec<(&str, Room)>, StoreError> {
        let mut rooms = Vec::new();
        for key in &self.keys {
            rooms.push((key.api.id(), self.store.room(key.api.id(), 1, self.quota).await?));
        }
        Ok(rooms)
    }

    /// Of every key, the room it has to start jobs, and how much of its limit is spent. Counts nothing.
    pub async fn uses(&self) -> Result<Vec<(Room, u32)>, StoreError> {
        let mut uses = Vec::new();
        for (id, room) in self.rooms().await? {
            uses.push((room, self.store.used(id, self.quota).await?));
        }
        Ok(uses)
    }

    /// Requests that Omni grants a key in its window.
    pub const fn limit(&self) -> u32 {
        self.quota.limit
    }

    /// A key that may send `requests` to start a job: the first with room, in turn.
    pub async fn start(&self, requests: u32) -> Result<Permit<'_>, Halt> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let turns = (0..self.keys.len()).map(|turn| &self.keys[(first.wrapping_add(turn)) % self.keys.len()]);
        self.first_open(turns, Errand::Start, requests).await
    }

    /// The key that most jobs were created with, and its budget: a move that grants a request by the way asks for it.
    pub fn usual(&self) -> Option<(&str, Quota)> {
        self.keys.first().map(|key| (key.api.id(), self.quota))
    }

    /// What such a move said of the usual key: leave, or why there is none. `None` where another key may do.
    pub fn granted(&self, grant: Grant) -> Result<Option<Permit<'_>>, Halt> {
        let Some(key) = self.keys.first() else { return Ok(None) };
        match self.told(key, Errand::Finish, grant) {
            Ok(permit) => Ok(Some(permit)),
            Err((_, Cause::NoKey)) => Ok(None),
            Err((pause, cause)) => Err(Halt::Wait { pause, cause }),
        }
    }

    /// The key that created a job, for one request that finishes it.
    pub async fn finish(&self, id: Option<&str>) -> Result<Permit<'_>, Halt> {
        self.own(id, Errand::Finish, 1).await
    }

    /// The key that created a job, for `requests` that look at it.
    pub async fn poll(&self, id: Option<&str>, requests: u32) -> Result<Permit<'_>, Halt> {
        self.own(id, Errand::Poll, requests).await
    }

    /// Whether a permit that was not used yet still counts, and will when its request arrives.
    pub fn holds(&self, permit: &Permit<'_>) -> bool {
        permit.since.elapsed() < self.quota.window / 2
    }

    /// What Omni answered to a request.
    pub async fn heard<T>(&self, permit: &Permit<'_>, answer: Result<T, OmniError>) -> Result<T, Halt> {
        let Permit { key, at, since } = permit;
        let close = match &answer {
            Err(OmniError::Throttled { retry_after }) => {
                Some((Closed::Throttled, retry_after.filter(|pause| !pause.is_zero())))
            }
            // Tried again after a while: keys are put back into force, and gateways err.
            Err(OmniError::Unauthorized) => Some((Closed::Refused, Some(self.quota.window))),
            _ => None,
        };
        // Where Redis is away nothing is counted, and the next request finds out again.
        if since.elapsed() > self.quota.window / 120 {
            let _ = self.store.delayed(key.api.id(), *at, self.quota).await;
        }
        if let Some((why, pause)) = close {
            self.refused(key, why == Closed::Refused);
            if let Ok((pause, true)) = self.store.close(key.api.id(), why, pause, self.quota).await {
                match why {
                    Closed::Throttled => warn!(key.id = key.api.id(), ?pause, "omni throttles an api key"),
                    Closed::Refused => error!(key.id = key.api.id(), "omni refuses an api key"),
                }
            }
        } else if answer.is_ok() {
            self.refused(key, false);
        }
        Ok(answer?)
    }

    /// How much rarer than usual quiet jobs are looked at: 1 while the budget is idle, more the less is left of it.
    pub fn scarcity(&self, id: Option<&str>) -> f64 {
        let keys = self.keys.iter().filter(|key| id.is_none_or(|id| id == key.api.id()));
        let used = keys.map(|key| key.used.load(Ordering::Relaxed)).max().unwrap_or_default();
        let left = 1.0 - f64::from(used) / f64::from(self.quota.limit);
        (1.0 / left.max(f64::EPSILON)).clamp(1.0, RAREST)
    }

    /// The key of this id; where it left the configuration or Omni refuses it, any other: an organization's keys read
    /// each other's jobs.
    async fn own(&self, id: Option<&str>, errand: Errand, requests: u32) -> Result<Permit<'_>, Halt> {
        let own = self.keys.iter().find(|key| Some(key.api.id()) == id);
        if let Some(key) = own {
            match self.ask(key, errand, requests).await? {
                Ok(permit) => return Ok(permit),
                Err((_, Cause::NoKey)) => {}
                Err((pause, cause)) => return Err(Halt::Wait { pause, cause }),
            }
        }
        self.first_open(self.keys.iter(), errand, requests).await
    }

    async fn first_open<'a>(
        &self,
        keys: impl Iterator<Item = &'a Key> + Send,
        errand: Errand,
        requests: u32,
    ) -> Result<Permit<'a>, Halt> {
        let mut soonest = (Duration::MAX, Cause::NoKey);
        for key in keys {
            match self.ask(key, errand, requests).await? {
                Ok(permit) => return Ok(permit),
                Err(later) => soonest = soonest.min(later),
            }
        }
        let (pause, cause) = soonest;
        Err(Halt::Wait { pause, cause })
    }

    /// Leave, or how long there is none and why.
    async fn ask<'a>(
        &self,
        key: &'a Key,
        errand: Errand,
        requests: u32,
    ) -> Result<Result<Permit<'a>, (Duration, Cause)>, StoreError> {
        let grant = self.store.grant(key.api.id(), errand, requests, self.quota).await?;
        Ok(self.told(key, errand, grant))
    }

    /// What the budget said.
    fn told<'a>(&self, key: &'a Key, errand: Errand, grant: Grant) -> Result<Permit<'a>, (Duration, Cause)> {
        let (outcome, answer) = match grant {
            Grant::Go(at) => ("granted", Ok(Permit { key, at, since: Instant::now() })),
            Grant::Wait(pause) => ("waits", Err((pause, Cause::Budget))),
            Grant::Closed(pause, Closed::Throttled) => ("closed", Err((pause, Cause::RateLimit))),
            Grant::Closed(pause, Closed::Refused) => {
                self.refused(key, true);
                ("closed", Err((pause, Cause::NoKey)))
            }
        };
        metrics::counter!("omni_relay_budget_total", "errand" => errand.as_str(), "outcome" => outcome).increment(1);
        answer
    }

    fn refusals(&self) -> usize {
        self.keys.iter().filter(|key| key.refused.load(Ordering::Relaxed)).count()
    }

    fn refused(&self, key: &Key, refused: bool) {
        if key.refused.swap(refused, Ordering::Relaxed) == refused {
            return;
        }
        let (all, refused) = (self.keys.len(), self.refusals());
        match refused {
            0 => self.readiness.ready(),
            _ if refused == all => self.readiness.degraded("omni refuses every api key: prompts wait"),
            _ => self.readiness.degraded(format!("omni refuses {refused} of {all} api keys")),
        }
    }
}

impl Permit<'_> {
    /// The key to send with.
    pub const fn key(&self) -> &ApiKey {
        &self.key.api
    }
}
