//! From the user that a prompt names to the user that Omni knows: what replicas remember, else a look at Omni, one at a
//! time for each user and process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use uuid::Uuid;

use super::flights::{Flight, Flights};
use super::keyring::{Halt, KeyRing, Permit};
use crate::config::UserCreation;
use crate::model::{Cause, User};
use crate::omni::{Omni, OmniError, UserPage, UserSearch};
use crate::runtime::hasten;
use crate::store::users::Remembered;
use crate::store::{Store, StoreError};

/// Longest wait for somebody who looks the same user up; then the prompt is put aside for a moment.
const LOOKED_UP: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(1));

/// Looks users up, and makes those that may be made.
#[derive(Clone)]
pub struct Directory {
    pub(super) store: Store,
    pub(super) omni: Arc<Omni>,
    pub(super) keys: Arc<KeyRing>,
    pub(super) create: UserCreation,
    /// Whether the instance has generate-session at its older path.
    pub(super) unstable: Arc<AtomicBool>,
    flights: Flights,
}

/// Leave to create a job, and the user to create it as.
pub struct Acting<'a> {
    /// For the create.
    pub permit: Permit<'a>,
    /// `None` where the key's own rights are meant.
    pub user_id: Option<Uuid>,
    /// Whether the id was only remembered, and may be dead.
    pub remembered: bool,
}

/// What is known without asking Omni.
pub enum Known {
    /// Whom to act for; `None` where the key's own rights are meant.
    User(Option<Uuid>, Memory),
    /// Omni knew nobody a moment ago.
    Nobody,
    /// Nothing. Whoever holds this is the one to ask.
    Ask(Asking),
}

/// Where an id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The prompt said it.
    Given,
    /// It was looked up before.
    Remembered,
}

/// The right to look one user up.
pub struct Asking {
    external_id: String,
    _flight: Flight,
}

/// Why there is no user to ask as.
#[derive(Debug, thiserror::Error)]
pub enum NoUser {
    /// Omni has nobody under this id.
    #[error("the embed user is not known to omni")]
    Unknown,
    /// Omni would not make the user.
    #[error("have omni create the embed user")]
    NotCreated(#[source] OmniError),
    /// Omni made the user, and does not show it.
    #[error("find the embed user that was just created")]
    Unseen,
    /// Omni did not tell.
    #[error(transparent)]
    Halt(#[from] Halt),
}

impl Directory {
    /// A directory that asks Omni.
    pub fn new(store: Store, omni: Arc<Omni>, keys: Arc<KeyRing>, create: UserCreation) -> Self {
        Self { store, omni, keys, create, unstable: Arc::default(), flights: Flights::default() }
    }

    /// Finds the user of a prompt, makes it where that is wanted, and gets leave for the create.
    pub async fn start(&self, user: &User) -> Result<Acting<'_>, NoUser> {
        let maker = self.maker(user);
        let asking = match self.known(user, maker.is_some()).await? {
            Known::User(user_id, memory) => {
                let remembered = memory == Memory::Remembered;
                return Ok(Acting { permit: self.keys.start(1).await?, user_id, remembered });
            }
            Known::Nobody => return Err(NoUser::Unknown),
            Known::Ask(asking) => asking,
        };
        // The create is granted together with the look-up, which would be for nothing without it.
        let permit = self.keys.start(2).await?;
        let found = match self.ask(&permit, &asking).await? {
            Some(id) => Some(id),
            None => match maker {
                Some(user) => Some(self.make(&permit, &asking, user).await?),
                None => None,
            },
        };
        self.remember(&asking, found).await?;
        match found {
            Some(id) => Ok(Acting { permit, user_id: Some(id), remembered: false }),
            None => Err(NoUser::Unknown),
        }
    }

    /// What is known without asking Omni; waits for whoever is asking about the same user. That nobody was there is no
    /// answer to those who look `anew`.
    pub async fn known(&self, user: &User, anew: bool) -> Result<Known, Halt> {
        let external_id = match user {
            User::Id { user_id } => return Ok(Known::User(Some(*user_id), Memory::Given)),
            User::Owner {} => return Ok(Known::User(None, Memory::Given)),
            User::External { external_id, .. } => external_id,
        };
        if let Some(known) = self.remembered(external_id, anew).await? {
            return Ok(known);
        }
        let Some(flight) = self.flights.take(external_id, hasten(LOOKED_UP.0)).await else {
            return Err(Halt::Wait { pause: hasten(LOOKED_UP.1), cause: Cause::User });
        };
        Ok(match self.remembered(external_id, anew).await? {
            Some(known) => known,
            None => Known::Ask(Asking { external_id: external_id.clone(), _flight: flight }),
        })
    }

    /// Finds a user for people who look; makes nobody. Omni's id, and whether it, or that there is none, was remembered.
    pub async fn resolve(&self, user: &User) -> Result<(Option<Uuid>, bool), Halt> {
        match self.known(user, false).await? {
            Known::User(id, _) => Ok((id, true)),
            Known::Nobody => Ok((None, true)),
            Known::Ask(asking) => {
                let permit = self.keys.poll(None, 1).await?;
                Ok((self.look_up(&permit, asking).await?, false))
            }
        }
    }

    /// Looks a user up with a granted request, and remembers the answer.
    pub async fn look_up(&self, permit: &Permit<'_>, asking: Asking) -> Result<Option<Uuid>, Halt> {
        let found = self.ask(permit, &asking).await?;
        self.remember(&asking, found).await?;
        Ok(found)
    }

    /// Omni refused to act for this id: it may be that of a user who is gone.
    pub async fn doubt(&self, user: &User, id: Uuid) -> Result<(), StoreError> {
        match user {
            User::External { external_id, .. } => self.store.forget_user(external_id, Some(id)).await.map(drop),
            User::Id { .. } | User::Owner {} => Ok(()),
        }
    }

    async fn remembered(&self, external_id: &str, anew: bool) -> Result<Option<Known>, StoreError> {
        Ok(match self.store.remembered_user(external_id).await? {
            Some(Remembered::Id(id)) => Some(Known::User(Some(id), Memory::Remembered)),
            Some(Remembered::Nobody) if !anew => Some(Known::Nobody),
            Some(Remembered::Nobody) | None => None,
        })
    }

    async fn remember(&self, asking: &Asking, found: Option<Uuid>) -> Result<(), Halt> {
        let found = found.map_or(Remembered::Nobody, Remembered::Id);
        Ok(self.store.remember_user(&asking.external_id, found).await?)
    }

    /// One granted request, and where Omni ignores the filter one more for each page: what began is to end, so these go as
    /// finishing. Where the list is too long, that nobody was seen is remembered as if nobody were there: it was asked for dearly.
    pub(super) async fn ask(&self, permit: &Permit<'_>, asking: &Asking) -> Result<Option<Uuid>, Halt> {
        let external_id = &asking.external_id;
        let mut further;
        let (mut permit, mut search) = (permit, UserSearch::default());
        loop {
            let page = self.omni.look_for_user(permit.key(), external_id, search).await;
            if matches!(page, Err(OmniError::UserListTooLong { .. })) {
                self.remember(asking, None).await?;
            }
            search = match self.keys.heard(permit, page).await? {
                UserPage::Found(id) => return Ok(Some(id)),
                UserPage::Nobody => return Ok(None),
                UserPage::More(search) | UserPage::Elsewhere(search) => search,
            };
            further = self.keys.finish(Some(permit.key().id())).await?;
            permit = &further;
        }
    }
}

impl Known {
    /// How many requests finding the user takes, which whoever asks has been granted.
    pub const fn requests(&self) -> u32 {
        match self {
            Self::User(..) | Self::Nobody => 0,
            Self::Ask(_) => 1,
        }
    }
}
