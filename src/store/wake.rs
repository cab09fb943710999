//! Waking readers of conversations: one subscription per process, no blocked connection per reader.
//!
//! A wake-up may be lost with the subscription's connection; when it is made again everybody is woken, and readers look
//! for themselves from time to time ([`Watch::changed`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;

use super::{Store, StoreError};
use crate::model::Conversation;
use crate::runtime::Stop;

/// Pause before another subscription is made.
const AGAIN: Duration = Duration::from_secs(1);

/// Who waits for which conversation.
#[derive(Clone, Default)]
pub struct Wake {
    watched: Arc<Mutex<HashMap<String, Watched>>>,
}

struct Watched {
    notify: Arc<Notify>,
    readers: usize,
}

/// One reader's interest in one conversation; gone when dropped.
pub struct Watch {
    wake: Wake,
    conversation: String,
    notify: Arc<Notify>,
}

impl Wake {
    /// Starts to watch. Take the watch first, look at the stream second, wait third: then nothing is missed.
    pub fn watch(&self, conversation: &Conversation) -> Watch {
        let mut watched = self.lock();
        let entry = watched
            .entry(conversation.as_str().to_owned())
            .or_insert_with(|| Watched { notify: Arc::default(), readers: 0 });
        entry.readers += 1;
        Watch { wake: self.clone(), conversation: conversation.as_str().to_owned(), notify: entry.notify.clone() }
    }

    /// Listens until the stop; again where the subscription breaks.
    pub async fn run(self, store: Store, stop: Stop) -> Result<(), StoreError> {
        while !stop.is_requested() {
            tokio::select! {
                _ended = self.listen(&store) => {}
                () = stop.requested() => {}
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = stop.requested() => {}
            }
        }
        Ok(())
    }

    /// Listens until the subscription breaks. Wakes everybody once it stands.
    pub async fn listen(&self, store: &Store) -> Result<(), StoreError> {
        let mut subscription = store.redis.subscribe(&store.keys.wake).await?;
        for watched in self.lock().values() {
            watched.notify.notify_waiters();
        }
        let mut messages = subscription.on_message();
        while let Some(message) = messages.next().await {
            if let Some(watched) = self.lock().get(message.get_payload::<String>()?.as_str()) {
                watched.notify.notify_waiters();
            }
        }
        Err(StoreError::Unavailable(None))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// A future that ends with the next change after this call, or after `longest`, and answers which it was. Create it
    /// before looking, await it after.
    pub fn changed(&self, longest: Duration) -> impl Future<Output = bool> + Send + 'static {
        let notified = self.notify.clone().notified_owned();
        async move { tokio::time::timeout(longest, notified).await.is_ok() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.wake.lock();
        if let Some(entry) = watched.get_mut(&self.conversation) {
            entry.readers -= 1;
            if entry.readers == 0 {
                watched.remove(&self.conversation);
            }
        }
    }
}
