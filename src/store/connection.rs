//! One shared connection to Redis that is replaced when it breaks, and connections of their own for blocking reads.
//!
//! Commands are never repeated from here: whether a lost one took effect is unknown, and the callers' moves are what is
//! safe to repeat. A connection is given up on the first timeout: one that leads nowhere never errs on its own.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;

use super::StoreError;

const CONNECT: Duration = Duration::from_secs(1);
const RESPONSE: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Between probes, and how many go unanswered before a connection is dead: a subscription has nothing else to notice by.
const PROBES: (Duration, u32) = (Duration::from_secs(5), 3);
/// While Redis is away, this long passes between attempts to connect; calls in between fail at once.
const PAUSE: Duration = Duration::from_millis(100);

/// A handle on Redis: cheap to clone, one connection behind all clones.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    shared: Arc<Shared>,
}

struct Shared {
    current: RwLock<Current>,
    /// Held while connecting, so that one caller connects and the others wait for it.
    connecting: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Current {
    generation: u64,
    connection: Option<MultiplexedConnection>,
}

impl Redis {
    /// Prepares a handle; nothing is connected yet. The URL is `redis://`, `rediss://` or `unix://`.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let info = redis::IntoConnectionInfo::into_connection_info(url)?;
        let keepalive =
            tcp::socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(PROBES.0).with_retries(PROBES.1);
        let info = info.set_tcp_settings(tcp::TcpSettings::default().set_nodelay(true).set_keepalive(keepalive));
        let shared = Shared { current: RwLock::default(), connecting: Mutex::new(None) };
        Ok(Self { client: Client::open(info)?, shared: Arc::new(shared) })
    }

    /// Runs one command.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let (generation, mut connection) = self.connection().await?;
        let result = command.query_async(&mut connection).await;
        self.check(generation, result).await
    }

    /// Runs one script; it is loaded when Redis does not know it.
    pub(crate) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        let (generation, mut connection) = self.connection().await?;
        let result = script.invoke_async(&mut connection).await;
        self.check(generation, result).await
    }

    /// A connection for blocking reads: replies may take `block` longer than usual. Drop it on any error: a reply nobody
    /// waits for would still move entries.
    pub async fn dedicated(&self, block: Duration) -> Result<MultiplexedConnection, StoreError> {
        Ok(self.client.get_multiplexed_async_connection_with_config(&settings(block + RESPONSE)).await?)
    }

    /// A subscription of its own.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<redis::aio::PubSub, StoreError> {
        let opening = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(channel).await?;
            Ok::<_, RedisError>(subscription)
        };
        match tokio::time::timeout(CONNECT + RESPONSE, opening).await {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(StoreError::Unavailable(None)),
        }
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.query::<String>(&redis::cmd("PING")).await.map(|_| ())
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        if let Some(found) = self.current().await {
            return Ok(found);
        }
        let mut last_failure = self.shared.connecting.lock().await;
        if let Some(found) = self.current().await {
            return Ok(found);
        }
        if last_failure.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(StoreError::Unavailable(None));
        }
        match self.client.get_multiplexed_async_connection_with_config(&settings(RESPONSE)).await {
            Ok(connection) => {
                *last_failure = None;
                let mut current = self.shared.current.write().await;
                current.generation += 1;
                current.connection = Some(connection.clone());
                Ok((current.generation, connection))
            }
            Err(error) => {
                *last_failure = Some(Instant::now());
                Err(error.into())
            }
        }
    }

    async fn current(&self) -> Option<(u64, MultiplexedConnection)> {
        let current = self.shared.current.read().await;
        current.connection.clone().map(|connection| (current.generation, connection))
    }

    async fn check<T>(&self, generation: u64, result: Result<T, RedisError>) -> Result<T, StoreError> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let broken = error.is_unrecoverable_error();
        let error = StoreError::from(error);
        // A replica that was promoted under us, or was demoted, is left as well: the URL may lead elsewhere now.
        if error.passes() || broken {
            let mut current = self.shared.current.write().await;
            if current.generation == generation {
                current.connection = None;
            }
        }
        Err(error)
    }
}

fn settings(response: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(response))
}
