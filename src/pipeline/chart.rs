//! chart: takes the wish to see an answer's chart, leaves it behind where it was fetched. Safe to repeat: what is kept, also
//! that there is none, is not asked for again.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::flights::Flights;
use super::keyring::{Halt, KeyRing};
use crate::model::Cause;
use crate::omni::{Omni, OmniError};
use crate::store::Store;
use crate::store::charts::Chart;
use crate::store::record::Record;

/// Longest wait for somebody who fetches the same chart, and what is to pass before another try.
const FETCHED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(1));

/// Fetches charts, each when somebody asks for it first.
#[derive(Clone)]
pub struct Charts {
    store: Store,
    omni: Arc<Omni>,
    keys: Arc<KeyRing>,
    flights: Flights,
}

impl Charts {
    /// `keys` grant each fetch as a poll.
    pub fn new(store: Store, omni: Arc<Omni>, keys: Arc<KeyRing>) -> Self {
        Self { store, omni, keys, flights: Flights::default() }
    }

    /// The chart of an answered prompt, a PNG; `None` where there is nothing to draw.
    pub async fn chart(&self, record: &Record) -> Result<Option<Vec<u8>>, Halt> {
        let (conversation, id) = (&record.conversation, record.id);
        if let Some(kept) = self.store.chart(conversation, id).await? {
            return Ok(kept);
        }
        let Some(_flight) = self.flights.take(&id.to_string(), FETCHED.0).await else {
            return Err(Halt::Wait { pause: FETCHED.1, cause: Cause::Shared });
        };
        if let Some(kept) = self.store.chart(conversation, id).await? {
            return Ok(kept);
        }
        let Some(job_id) = record.job_id.as_deref().and_then(|id| id.parse().ok()) else { return Ok(None) };
        let chart = self.fetch(record.key_id.as_deref(), job_id).await?;
        self.store.keep_chart(conversation, id, &chart).await?;
        Ok(match chart {
            Chart::Image(image) => Some(image),
            Chart::Nothing | Chart::Absent => None,
        })
    }

    async fn fetch(&self, key_id: Option<&str>, job_id: Uuid) -> Result<Chart, Halt> {
        let permit = self.keys.poll(key_id, 1).await?;
        let image = self.omni.chart(permit.key(), job_id).await;
        match self.keys.heard(&permit, image).await {
            Ok(image) => Ok(Chart::Image(image)),
            Err(Halt::Omni(OmniError::Refused { status, .. })) if status.as_u16() == 422 => Ok(Chart::Nothing),
            // An answer may be out a moment before Omni draws it; where Omni draws nothing at all it may learn to.
            Err(Halt::Omni(OmniError::NotFound)) => Ok(Chart::Absent),
            Err(halt) => Err(halt),
        }
    }
}
