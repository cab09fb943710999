//! Which Omni user stands behind an external id, for all replicas: what was found lives a day, that nobody was found a
//! moment.

use std::time::Duration;

use uuid::Uuid;

use super::script::{Move, script, with_keys};
use super::{Store, StoreError};
use crate::runtime::millis;

static FORGET: Move = script!("forget");

/// How long an id is good without another look.
const FOUND: Duration = Duration::from_hours(24);
/// How long nobody looks again for somebody who was not there.
const NOBODY: Duration = Duration::from_secs(30);
/// Stands in the place of an id.
const MARK: &str = "-";

/// What is remembered of an external id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    /// Omni's id.
    Id(Uuid),
    /// Omni knew nobody, a moment ago.
    Nobody,
}

impl Store {
    /// What is remembered; nothing where nobody looked, or too long ago.
    pub async fn remembered_user(&self, external_id: &str) -> Result<Option<Remembered>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.user(external_id));
        let kept: Option<String> = self.redis.query(&command).await?;
        // What is no id is no knowledge: it is looked up again.
        Ok(kept.and_then(|kept| match kept.as_str() {
            MARK => Some(Remembered::Nobody),
            id => id.parse().ok().map(Remembered::Id),
        }))
    }

    /// Remembers what Omni said. That nobody was there never takes the place of an id: it may be the older news.
    pub async fn remember_user(&self, external_id: &str, found: Remembered) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(self.keys.user(external_id));
        match found {
            Remembered::Id(id) => command.arg(id.to_string()).arg("PX").arg(millis(FOUND)),
            Remembered::Nobody => command.arg(MARK).arg("PX").arg(millis(NOBODY)).arg("NX"),
        };
        self.redis.query::<Option<String>>(&command).await.map(drop)
    }

    /// Forgets an external id; with `id`, only while that is what is remembered. Whether there was anything to forget.
    pub async fn forget_user(&self, external_id: &str, id: Option<Uuid>) -> Result<bool, StoreError> {
        let mut call = with_keys(&FORGET, &[&self.keys.user(external_id)]);
        call.arg(id.map(|id| id.to_string()).unwrap_or_default());
        self.reply(&call).await
    }
}
