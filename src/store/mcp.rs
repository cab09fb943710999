//! Whose an MCP session of Omni's is, and the API key that it was opened with: Omni ties a session to that key, and does not
//! know which agents share it.

use std::time::Duration;

use super::keys::short_hash;
use super::{Store, StoreError};
use crate::runtime::millis;

/// After the last use.
const LIFE: Duration = Duration::from_hours(24);

impl Store {
    /// The API key of a session that is `owner`'s, which lives on; `None` for one that is unknown or another's.
    pub async fn session(&self, session: &str, owner: &str) -> Result<Option<String>, StoreError> {
        let key = self.keys.mcp(session);
        let mut command = redis::cmd("GET");
        let kept: Option<String> = self.redis.query(command.arg(&key)).await?;
        let owner = short_hash(owner);
        let Some(key_id) = kept.as_deref().and_then(|kept| kept.strip_prefix(&owner)?.strip_prefix(' ')) else {
            return Ok(None);
        };
        let mut command = redis::cmd("PEXPIRE");
        self.redis.query::<bool>(command.arg(&key).arg(millis(LIFE))).await?;
        Ok(Some(key_id.to_owned()))
    }

    /// Binds a session that Omni opened with this key.
    pub async fn bind_session(&self, session: &str, owner: &str, key_id: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        let bound = format!("{} {key_id}", short_hash(owner));
        command.arg(self.keys.mcp(session)).arg(bound).arg("PX").arg(millis(LIFE));
        self.redis.query::<()>(&command).await
    }

    /// Forgets a session that was ended.
    pub async fn unbind_session(&self, session: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("DEL");
        self.redis.query::<usize>(command.arg(self.keys.mcp(session))).await.map(drop)
    }
}
