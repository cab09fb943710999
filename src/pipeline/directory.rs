//! From the user that a prompt names to the user that Omni knows.

use std::sync::Arc;

use uuid::Uuid;

use super::keyring::{Halt, KeyRing, Permit};
use crate::model::User;
use crate::omni::Omni;

/// Looks users up.
#[derive(Clone)]
pub struct Directory {
    omni: Arc<Omni>,
    keys: Arc<KeyRing>,
}

/// Why there is no user to ask as.
#[derive(Debug, thiserror::Error)]
pub enum NoUser {
    /// Omni has nobody under this id.
    #[error("the embed user is not known to omni")]
    Unknown,
    /// Omni did not tell.
    #[error(transparent)]
    Halt(#[from] Halt),
}

impl Directory {
    /// A directory that asks Omni.
    pub const fn new(omni: Arc<Omni>, keys: Arc<KeyRing>) -> Self {
        Self { omni, keys }
    }

    /// How many requests finding this user takes, which whoever asks has been granted.
    pub const fn requests(user: &User) -> u32 {
        match user {
            User::Id { .. } | User::Owner {} => 0,
            User::External { .. } => 1,
        }
    }

    /// Omni's id of a user; `None` where the key's own rights are meant. `userId` is passed on without a look-up.
    pub async fn resolve(&self, permit: &Permit<'_>, user: &User) -> Result<Option<Uuid>, NoUser> {
        match user {
            User::Id { user_id } => Ok(Some(*user_id)),
            User::Owner {} => Ok(None),
            User::External { external_id, .. } => {
                let found = self.omni.find_user(permit.key(), external_id).await;
                match self.keys.heard(permit, found).await? {
                    Some(id) => Ok(Some(id)),
                    None => Err(NoUser::Unknown),
                }
            }
        }
    }
}
