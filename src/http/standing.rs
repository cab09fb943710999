//! Who may call, as it is by now: a reload may take the right to an answer away while the answer lasts.

use std::sync::Arc;

use tokio::sync::watch;

use super::Services;
use super::auth::{self, Access};
use super::token::{Purpose, Tokens};
use crate::config::{Callers, Scope};

/// Who may call, and whose tokens are good.
#[derive(Clone, Default)]
pub struct Rights {
    /// Who may call.
    pub callers: Callers,
    /// Makes and reads tokens; `None` without secrets.
    pub tokens: Option<Arc<Tokens>>,
}

impl From<&Services> for Rights {
    fn from(services: &Services) -> Self {
        Self { callers: services.own.callers.clone(), tokens: services.tokens.clone() }
    }
}

impl Rights {
    /// What whoever shows this may reach, and what it is for where it is a token.
    pub(super) fn of(&self, shown: Option<&str>, purpose: Purpose, scope: Scope) -> Option<(Access, Option<String>)> {
        let granted = shown.zip(self.tokens.as_ref()).and_then(|(token, tokens)| tokens.read(purpose, token).ok());
        match granted {
            Some(token) => {
                let access = Access::of_minter(&self.callers, token.caller.as_deref(), scope)?;
                Some((access, Some(token.subject)))
            }
            None => auth::check(&self.callers, shown, scope, |_| Ok(())).ok().map(|access| (access, None)),
        }
    }
}

/// The right to one answer that lasts.
pub(super) struct Standing {
    rights: watch::Receiver<Rights>,
    stands: Box<dyn Fn(&Rights) -> bool + Send + Sync>,
}

impl Standing {
    /// One that is gone once `stands` says so of the rights by then.
    pub(super) fn new(
        rights: &watch::Sender<Rights>,
        stands: impl Fn(&Rights) -> bool + Send + Sync + 'static,
    ) -> Self {
        let mut rights = rights.subscribe();
        // They may have changed since the request was let in.
        rights.mark_changed();
        Self { rights, stands: Box::new(stands) }
    }

    /// Whether it is gone.
    pub(super) fn is_gone(&mut self) -> bool {
        // Without a sender nobody changes them any more.
        self.rights.has_changed().unwrap_or(false) && !(self.stands)(&self.rights.borrow_and_update())
    }

    /// Until the rights change.
    pub(super) async fn changed(&mut self) {
        if self.rights.changed().await.is_err() {
            return std::future::pending().await;
        }
        self.rights.mark_changed();
    }

    /// Until it is gone.
    pub(super) async fn gone(mut self) {
        while !self.is_gone() {
            self.changed().await;
        }
    }
}
