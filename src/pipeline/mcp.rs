//! An agent's request to Omni's MCP server: whose session it is, whom it is for, a place in the budget, the exchange.
//!
//! Nothing is repeated here: what reached Omni may have been done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, json};
use tokio::time::{Instant, sleep};

use super::directory::Directory;
use super::keyring::{Halt, KeyRing};
use crate::model::{Cause, Tenant, User};
use crate::omni::{McpAnswer, McpClient, McpRequest, OmniError};
use crate::runtime::hasten;
use crate::store::{Store, StoreError};

/// Longest wait for room in the budget.
const PATIENCE: Duration = Duration::from_secs(10);

/// Passes agents' requests on.
#[derive(Clone)]
pub struct Gateway {
    store: Store,
    omni: McpClient,
    keys: Arc<KeyRing>,
    directory: Directory,
}

/// For whom a request is sent, and by whom.
pub struct Agent {
    /// The caller's name in the configuration; empty where there are none.
    pub caller: String,
    /// The caller's tenant.
    pub tenant: Tenant,
    /// The user, as the caller knows them.
    pub external_id: String,
}

/// Why a request was not passed on, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such session of this agent's. Nothing was sent.
    #[error("find the session")]
    UnknownSession,
    /// Omni has nobody under the external id.
    #[error("the embed user is not known to omni")]
    UnknownUser,
    /// There was no room, or no answer of Omni's.
    #[error(transparent)]
    Halt(#[from] Halt),
}

impl Gateway {
    /// A gateway to the Omni of these keys.
    pub const fn new(store: Store, omni: McpClient, keys: Arc<KeyRing>, directory: Directory) -> Self {
        Self { store, omni, keys, directory }
    }

    /// Sends `request` on the agent's behalf, in the session that it names.
    pub async fn pass(&self, agent: &Agent, request: McpRequest) -> Result<McpAnswer, Refusal> {
        let owner = json!([agent.caller, agent.tenant, agent.external_id]).to_string();
        let session = request.session.clone();
        let key_id = match &session {
            Some(session) => Some(self.store.session(session, &owner).await?.ok_or(Refusal::UnknownSession)?),
            None => None,
        };
        let user = User::External { external_id: agent.external_id.clone(), profile: Map::new() };
        let until = Instant::now() + hasten(PATIENCE);
        let (found, _) = patiently(until, || self.directory.resolve(&user)).await?;
        let user_id = found.ok_or(Refusal::UnknownUser)?;
        let permit = patiently(until, || self.keys.poll(key_id.as_deref(), 1)).await?;
        let ends = request.ends_session();
        let answer = self.omni.exchange(permit.key(), user_id, request).await;
        if matches!(answer, Err(OmniError::Unauthorized)) {
            // It may be the user whom Omni does not know any more, and not the key.
            self.directory.doubt(&user, user_id).await?;
        }
        let answer = self.keys.heard(&permit, answer).await?;
        match (&session, answer.session()) {
            // What nobody knows any more at Omni may stay bound.
            (Some(session), _) if ends && answer.status.is_success() => drop(self.store.unbind_session(session).await),
            (session, Some(opened)) if session.as_deref() != Some(opened) => {
                self.store.bind_session(opened, &owner, permit.key().id()).await?;
            }
            // The id may be that of a user who is gone.
            (None, _) if matches!(answer.status.as_u16(), 403 | 404) => self.directory.doubt(&user, user_id).await?,
            _ => {}
        }
        Ok(answer)
    }
}

/// Asks again until there is room, for so long; not where Omni refuses every key.
async fn patiently<T, F: Future<Output = Result<T, Halt>>>(until: Instant, ask: impl Fn() -> F) -> Result<T, Halt> {
    loop {
        match ask().await {
            Err(Halt::Wait { cause: Cause::NoKey, .. }) => return Err(OmniError::Unauthorized.into()),
            Err(Halt::Wait { pause, .. }) if Instant::now() + pause < until => sleep(pause).await,
            answer => return answer,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Halt(error.into())
    }
}
