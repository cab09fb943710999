//! The moves of one Omni key's budget, which all replicas share: grant, delayed, close. On the time of Redis.

use std::time::Duration;

use super::script::{Call, Move, script, unexpected, with_keys};
use super::{Store, StoreError};
use crate::runtime::millis;

static GRANT: Move = script!("grant");
static DELAYED: Move = script!("delayed");
static CLOSE: Move = script!("close");

/// The longest time that Omni may close a key for at once.
const LONGEST: Duration = Duration::from_hours(1);

/// What Omni grants a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Requests in a window.
    pub limit: u32,
    /// A little more than Omni's own: requests do not take equally long to get there.
    pub window: Duration,
    /// Requests that a job will need once it was created.
    pub owed: u32,
}

/// What the requests are for, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// Cancels, results, and the status that they need.
    Finish,
    /// Looks at jobs that are quiet.
    Poll,
    /// Creates, and the look-ups that they need.
    Start,
}

/// Why a key is not to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Omni answered 429.
    Throttled,
    /// Omni answered 401.
    Refused,
}

/// Whether requests may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Yes, now (unix milliseconds of Redis): they are counted.
    Go(u64),
    /// Not before this long.
    Wait(Duration),
    /// The key is closed for this long at least.
    Closed(Duration, Closed),
}

/// How many starts a key has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// This many, at least one.
    For(u32),
    /// None before this long.
    NotBefore(Duration),
    /// The key is closed for this long at least.
    Closed(Duration, Closed),
}

impl Store {
    /// Grants `requests` of a key together or none of them.
    pub async fn grant(&self, key_id: &str, errand: Errand, requests: u32, quota: Quota) -> Result<Grant, StoreError> {
        let keys = self.keys.budget(key_id);
        let words = self.words(&ask(&keys, errand.as_str(), requests, quota)).await?;
        Grant::from_words(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// How many starts, up to `most`, a key has room for now. Counts nothing.
    pub async fn room(&self, key_id: &str, most: u32, quota: Quota) -> Result<Room, StoreError> {
        let keys = self.keys.budget(key_id);
        let words = self.words(&ask(&keys, "look", most, quota)).await?;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["room", "0", pause] => Ok(Room::NotBefore(duration(pause)?)),
            ["room", starts, _] => Ok(Room::For(starts.parse().map_err(|_| unexpected())?)),
            ["closed", pause, why] => Ok(Room::Closed(duration(pause)?, Closed::parse(why)?)),
            _ => Err(unexpected()),
        }
    }

    /// How many requests of a key's window are used, or promised to jobs that were created in it. Counts nothing.
    pub async fn used(&self, key_id: &str, quota: Quota) -> Result<u32, StoreError> {
        let keys = self.keys.budget(key_id);
        let (_, used): (String, u32) = self.reply(&ask(&keys, "used", 0, quota)).await?;
        Ok(used)
    }

    /// A request that was granted at `at` was answered late: it counts from now on, as it may have arrived only now.
    pub async fn delayed(&self, key_id: &str, at: u64, quota: Quota) -> Result<(), StoreError> {
        let [granted, ..] = self.keys.budget(key_id);
        let mut call = with_keys(&DELAYED, &[&granted]);
        call.arg(at).arg(millis(quota.window));
        self.reply::<i64>(&call).await.map(drop)
    }

    /// Closes a key for all replicas: for as long as Omni said, else for a sixtieth of the window, and longer each time it
    /// happens again soon, up to the window. Answers for how long, and whether that is news.
    pub async fn close(
        &self,
        key_id: &str,
        why: Closed,
        pause: Option<Duration>,
        quota: Quota,
    ) -> Result<(Duration, bool), StoreError> {
        let [.., state] = self.keys.budget(key_id);
        let mut call = with_keys(&CLOSE, &[&state]);
        call.arg(pause.map_or_else(String::new, |pause| millis(pause.min(LONGEST)).to_string()));
        call.arg(millis(quota.window / 60)).arg(millis(quota.window)).arg(why.as_str());
        let (pause, news): (u64, bool) = self.reply(&call).await?;
        Ok((Duration::from_millis(pause), news))
    }
}

fn ask<'a>(keys: &[String; 4], class: &str, requests: u32, quota: Quota) -> Call<'a> {
    let [granted, charged, polls, state] = keys;
    let mut call = with_keys(&GRANT, &[granted, charged, polls, state]);
    call.arg(class).arg(requests).arg(quota.limit).arg(millis(quota.window)).arg(quota.owed);
    call
}

fn duration(millis: &str) -> Result<Duration, StoreError> {
    millis.parse().map(Duration::from_millis).map_err(|_| unexpected())
}

impl Grant {
    pub(super) fn from_words(words: &[&str]) -> Result<Self, StoreError> {
        match words {
            ["go", at, ..] => at.parse().map(Self::Go).map_err(|_| unexpected()),
            ["wait", pause, ..] => Ok(Self::Wait(duration(pause)?)),
            ["closed", pause, why] => Ok(Self::Closed(duration(pause)?, Closed::parse(why)?)),
            _ => Err(unexpected()),
        }
    }
}

impl Errand {
    /// As the script and metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Poll => "poll",
            Self::Start => "start",
        }
    }
}

impl Closed {
    /// As the store keeps it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Refused => "refused",
        }
    }

    fn parse(word: &str) -> Result<Self, StoreError> {
        match word {
            "throttled" => Ok(Self::Throttled),
            "refused" => Ok(Self::Refused),
            _ => Err(unexpected()),
        }
    }
}
