//! From the user that a prompt names to the user that Omni knows.

use std::sync::Arc;

use uuid::Uuid;

use crate::model::User;
use crate::omni::{ApiKey, Omni, OmniError};

/// Looks users up.
#[derive(Clone)]
pub struct Directory {
    omni: Arc<Omni>,
}

/// Why there is no user to ask as.
#[derive(Debug, thiserror::Error)]
pub enum NoUser {
    /// Omni has nobody under this id.
    #[error("the embed user is not known to omni")]
    Unknown,
    /// Omni's answer cannot be used, now or ever.
    #[error(transparent)]
    Omni(#[from] OmniError),
}

impl Directory {
    /// A directory that asks Omni.
    pub const fn new(omni: Arc<Omni>) -> Self {
        Self { omni }
    }

    /// Omni's id of a user; `None` where the key's own rights are meant. `userId` is passed on without a look-up.
    pub async fn resolve(&self, key: &ApiKey, user: &User) -> Result<Option<Uuid>, NoUser> {
        match user {
            User::Id { user_id } => Ok(Some(*user_id)),
            User::Owner {} => Ok(None),
            User::External { external_id, .. } => match self.omni.find_user(key, external_id).await? {
                Some(id) => Ok(Some(id)),
                None => Err(NoUser::Unknown),
            },
        }
    }
}
