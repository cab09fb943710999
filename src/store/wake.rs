//! Waking readers of conversations: one subscription per process, no blocked connection per reader. While nobody reads here
//! there is none: Redis would tell this process of every entry that anybody publishes.
//!
//! A wake-up may be lost with the subscription's connection; when it is made again everybody is woken, and readers look
//! for themselves from time to time ([`Watch::changed`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::{Store, StoreError};
use crate::model::Conversation;
use crate::runtime::Stop;

/// Pause before another subscription is made.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a subscription outlives the last reader.
const QUIET: Duration = Duration::from_secs(30);

/// Who waits for which conversation.
#[derive(Clone, Default)]
pub struct Wake {
    watched: Arc<Mutex<HashMap<String, Watched>>>,
    /// Told when somebody begins to watch.
    begun: Arc<Notify>,
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
        self.begun.notify_one();
        Watch { wake: self.clone(), conversation: conversation.as_str().to_owned(), notify: entry.notify.clone() }
    }

    /// Listens while somebody watches, until the stop; again where the subscription breaks.
    pub async fn run(self, store: Store, stop: Stop) -> Result<(), StoreError> {
        while !stop.is_requested() {
            tokio::select! {
                () = self.listen_where_wanted(&store) => {}
                () = stop.requested() => {}
            }
        }
        Ok(())
    }

    async fn listen_where_wanted(&self, store: &Store) {
        if self.lock().is_empty() {
            self.begun.notified().await;
        } else if self.listen(store, QUIET).await.is_err() {
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Listens until nobody has watched for as long as `quiet`, or until the subscription breaks, which is an error. Wakes
    /// everybody once it stands.
    pub async fn listen(&self, store: &Store, quiet: Duration) -> Result<(), StoreError> {
        let mut subscription = store.redis.subscribe(&store.keys.wake).await?;
        for watched in self.lock().values() {
            watched.notify.notify_waiters();
        }
        let (mut messages, mut wanted) = (subscription.on_message(), Instant::now());
        loop {
            let conversation = match timeout(quiet, messages.next()).await {
                Ok(None) => return Err(StoreError::Unavailable(None)),
                Ok(Some(message)) => Some(message.get_payload::<String>()?),
                Err(_quiet) => None,
            };
            let watched = self.lock();
            if let Some(watched) = conversation.and_then(|conversation| watched.get(&conversation)) {
                watched.notify.notify_waiters();
            }
            if !watched.is_empty() {
                wanted = Instant::now();
            } else if wanted.elapsed() >= quiet {
                return Ok(());
            }
        }
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
