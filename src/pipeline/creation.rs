//! Makes an embed user whom Omni does not know: only one that is not there, and only with all that is said of it, for
//! generate-session may take away from a user what is left out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::directory::{Asking, Directory, NoUser};
use super::keyring::{Halt, Permit};
use crate::config::UserCreation;
use crate::model::{User, profile};
use crate::omni::{EmbedUser, OmniError, SessionPath};
use crate::runtime::hasten;

/// A user who was just made may not show up at once: how many looks, and the pause between them.
const LOOKS: (u32, Duration) = (3, Duration::from_millis(700));

/// A user that may be made.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    external_id: &'a str,
    profile: &'a Map<String, Value>,
}

impl Directory {
    /// The user to make where Omni knows nobody; `None` where that is not wanted.
    pub(super) fn maker<'a>(&self, user: &'a User) -> Option<Maker<'a>> {
        let User::External { external_id, profile } = user else { return None };
        let wanted = match self.create {
            UserCreation::Never => false,
            UserCreation::WithProfile => profile::is_full(profile),
            UserCreation::Always => true,
        };
        wanted.then_some(Maker { external_id, profile })
    }

    /// Makes a user who is not there, and finds the id. Each request is granted as finishing: a prompt that may start
    /// waits for it.
    pub(super) async fn make(&self, permit: &Permit<'_>, asking: &Asking, user: Maker<'_>) -> Result<Uuid, NoUser> {
        let mut others = user.profile.clone();
        others.remove("name");
        let name = profile::name(user.profile).unwrap_or(user.external_id);
        self.generate(permit, EmbedUser { external_id: user.external_id, name, others: &others }).await?;
        for look in 0..LOOKS.0 {
            if look > 0 {
                tokio::time::sleep(hasten(LOOKS.1)).await;
            }
            let permit = self.keys.finish(Some(permit.key().id())).await?;
            if let Some(id) = self.ask(&permit, asking).await? {
                return Ok(id);
            }
        }
        Err(NoUser::Unseen)
    }

    /// At the path that worked last; at the other one where it is not known.
    async fn generate(&self, permit: &Permit<'_>, user: EmbedUser<'_>) -> Result<(), NoUser> {
        let unstable = self.unstable.load(Ordering::Relaxed);
        let path = if unstable { SessionPath::Unstable } else { SessionPath::V1 };
        match self.generate_at(permit, path, user).await {
            Err(Halt::Omni(OmniError::Refused { status, .. })) if status.as_u16() == 404 => {
                self.generate_at(permit, path.other(), user).await.map_err(refused)?;
                self.unstable.store(!unstable, Ordering::Relaxed);
                Ok(())
            }
            other => other.map_err(refused),
        }
    }

    async fn generate_at(&self, permit: &Permit<'_>, path: SessionPath, user: EmbedUser<'_>) -> Result<(), Halt> {
        let permit = self.keys.finish(Some(permit.key().id())).await?;
        let made = self.omni.generate_session(permit.key(), path, user).await;
        self.keys.heard(&permit, made).await
    }
}

fn refused(halt: Halt) -> NoUser {
    match halt {
        Halt::Omni(error @ OmniError::Refused { .. }) => NoUser::NotCreated(error),
        halt => NoUser::Halt(halt),
    }
}
