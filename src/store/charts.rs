//! Charts that were fetched, beside the answers they belong to.

use std::time::Duration;

use super::{Store, StoreError};
use crate::model::{Conversation, PromptId};
use crate::runtime::millis;

/// How long nobody asks again for a chart that was not there.
const ABSENT: Duration = Duration::from_mins(1);
/// Stands in the place of an image, and begins none.
const MARK: &[u8] = b"-";

/// What is known of an answer's chart.
#[derive(Clone, PartialEq, Eq)]
pub enum Chart {
    /// A PNG.
    Image(Vec<u8>),
    /// There is nothing to draw.
    Nothing,
    /// There was none a moment ago.
    Absent,
}

impl Store {
    /// The image that was kept, or `Some(None)` where it is known that there is none; `None` where nobody asked.
    pub async fn chart(
        &self,
        conversation: &Conversation,
        id: PromptId,
    ) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.keys.chart(conversation, id));
        let kept: Option<Vec<u8>> = self.redis.query(&command).await?;
        Ok(kept.map(|kept| (kept != MARK).then_some(kept)))
    }

    /// Keeps what Omni said.
    pub async fn keep_chart(&self, conversation: &Conversation, id: PromptId, chart: &Chart) -> Result<(), StoreError> {
        let (kept, life) = match chart {
            Chart::Image(image) => (image.as_slice(), self.policy.retention),
            Chart::Nothing => (MARK, self.policy.retention),
            Chart::Absent => (MARK, ABSENT.min(self.policy.retention)),
        };
        let mut command = redis::cmd("SET");
        command.arg(self.keys.chart(conversation, id)).arg(kept).arg("PX").arg(millis(life));
        self.redis.query::<String>(&command).await.map(drop)
    }
}
