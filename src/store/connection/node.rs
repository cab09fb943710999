//! One server, or the master of the moment: a shared connection that is replaced when it breaks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue, RedisError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::address::{Address, settings};
use super::durable::Durable;
use super::sentinel::{Sentinels, verified};
use super::{CONNECT, PAUSE, RESPONSE};
use crate::store::StoreError;
use crate::store::script::Call;

/// Where a server is.
pub(super) enum Place {
    /// Always there.
    Fixed(Client),
    /// Where the sentinels say, asked for every connection.
    Elected(Sentinels),
}

pub(super) struct Node {
    place: Place,
    current: RwLock<Current>,
    /// Held while connecting, so that one caller connects and the others wait for it.
    connecting: Mutex<Option<Instant>>,
    /// How often another master was followed.
    moves: AtomicU64,
    pub(super) durable: Durable,
}

#[derive(Default)]
struct Current {
    generation: u64,
    connection: Option<MultiplexedConnection>,
    /// Where it leads, when sentinels said so.
    master: Option<Address>,
}

impl Node {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            current: RwLock::default(),
            connecting: Mutex::new(None),
            moves: AtomicU64::new(0),
            durable: Durable::default(),
        }
    }

    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let (generation, mut connection) = self.connection().await?;
        let result = command.query_async(&mut connection).await;
        self.check(generation, result)
    }

    pub(super) async fn run<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        let (generation, mut connection) = self.connection().await?;
        let result = call.invoke(&mut connection).await;
        self.check(generation, result)
    }

    /// A connection of its own, whose replies may take this long.
    pub(super) async fn open(
        &self,
        response: Duration,
    ) -> Result<(MultiplexedConnection, Option<Address>), StoreError> {
        match &self.place {
            Place::Fixed(client) => {
                Ok((client.get_multiplexed_async_connection_with_config(&settings(response)).await?, None))
            }
            Place::Elected(sentinels) => {
                let master = sentinels.named().await?;
                let client = sentinels.client(&master)?;
                let connection = client.get_multiplexed_async_connection_with_config(&settings(response)).await?;
                match tokio::time::timeout(RESPONSE, verified(connection)).await {
                    Ok(connection) => Ok((connection?, Some(master))),
                    Err(_) => Err(StoreError::Unavailable(None)),
                }
            }
        }
    }

    /// A subscription of its own.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<redis::aio::PubSub, StoreError> {
        let opening = async {
            let mut subscription = match &self.place {
                Place::Fixed(client) => client.get_async_pubsub().await?,
                // One that is a replica by now hears the same.
                Place::Elected(sentinels) => sentinels.client(&sentinels.named().await?)?.get_async_pubsub().await?,
            };
            subscription.subscribe(channel).await?;
            Ok::<_, StoreError>(subscription)
        };
        tokio::time::timeout(CONNECT + RESPONSE, opening).await.unwrap_or(Err(StoreError::Unavailable(None)))
    }

    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Leaves a master that the sentinels have replaced: until it is told, it takes writes that will be lost.
    pub(super) async fn follow(&self) {
        let Place::Elected(sentinels) = &self.place else { return };
        // While no sentinel answers, the master goes on.
        let Ok(named) = sentinels.named().await else { return };
        let mut current = self.change();
        if current.master.as_ref().is_some_and(|master| *master != named) {
            (current.connection, current.master) = (None, None);
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        match self.current() {
            Some(found) => Ok(found),
            // It takes much room, and every command would have it: boxed only where it is needed.
            None => Box::pin(self.connect()).await,
        }
    }

    async fn connect(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        let mut last_failure = self.connecting.lock().await;
        if let Some(found) = self.current() {
            return Ok(found);
        }
        if last_failure.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(StoreError::Unavailable(None));
        }
        match self.open(RESPONSE).await {
            Ok((connection, master)) => {
                *last_failure = None;
                let mut current = self.change();
                current.generation += 1;
                current.connection = Some(connection.clone());
                current.master = master;
                Ok((current.generation, connection))
            }
            Err(error) => {
                *last_failure = Some(Instant::now());
                Err(error)
            }
        }
    }

    fn change(&self) -> RwLockWriteGuard<'_, Current> {
        self.current.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Option<(u64, MultiplexedConnection)> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.connection.clone().map(|connection| (current.generation, connection))
    }

    fn check<T>(&self, generation: u64, result: Result<T, RedisError>) -> Result<T, StoreError> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let broken = error.is_unrecoverable_error();
        let error = StoreError::from(error);
        if error.leaves_server() || broken {
            let mut current = self.change();
            if current.generation == generation {
                current.connection = None;
            }
        }
        Err(error)
    }
}
