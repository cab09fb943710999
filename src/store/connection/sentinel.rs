//! The master that Sentinels name.

use std::sync::atomic::{AtomicU64, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionInfo, ErrorKind, RedisConnectionInfo, RedisError, RedisResult};

use super::RESPONSE;
use super::address::{Address, at, settings};
use super::ask::first;
use crate::store::StoreError;

/// Sentinels, and whom they are asked for.
pub(super) struct Sentinels {
    /// With the login of the servers, which the sentinels may ask for as well.
    pub(super) addresses: Vec<ConnectionInfo>,
    pub(super) master: String,
    /// The newest election heard of: a sentinel that is behind is not believed.
    pub(super) election: AtomicU64,
}

impl Sentinels {
    /// Where the master is, as one of them sees it now.
    pub(super) async fn named(&self) -> Result<Address, StoreError> {
        first(self.addresses.iter().map(|sentinel| self.ask(sentinel)).collect()).await
    }

    /// A client for a server, with the login and the database of the URL.
    pub(super) fn client(&self, (host, port): &Address) -> Result<Client, StoreError> {
        Ok(Client::open(at(&self.addresses[0], host, *port))?)
    }

    async fn ask(&self, sentinel: &ConnectionInfo) -> Result<Address, StoreError> {
        let open = sentinel.clone().set_redis_settings(RedisConnectionInfo::default().set_skip_set_lib_name());
        match self.ask_as(open).await {
            Err(error) if error.code() == Some("NOAUTH") => {
                let login = sentinel.redis_settings().clone().set_db(0);
                Ok(self.ask_as(sentinel.clone().set_redis_settings(login)).await?)
            }
            other => Ok(other?),
        }
    }

    async fn ask_as(&self, sentinel: ConnectionInfo) -> RedisResult<Address> {
        let client = Client::open(sentinel)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&settings(RESPONSE)).await?;
        // Before the address: it may be newer than the election, never older.
        let state: Vec<String> =
            redis::cmd("SENTINEL").arg("MASTER").arg(&self.master).query_async(&mut connection).await?;
        let election =
            state.chunks_exact(2).find(|pair| pair[0] == "config-epoch").and_then(|pair| pair[1].parse().ok());
        let election = election.unwrap_or_default();
        if self.election.fetch_max(election, Ordering::Relaxed) > election {
            return Err(RedisError::from((ErrorKind::Io, "a sentinel has not heard of the last election")));
        }
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let named: Option<Address> = question.query_async(&mut connection).await?;
        named.ok_or_else(|| RedisError::from((ErrorKind::Io, "no sentinel knows a master of this name")))
    }
}

/// Refuses a server that is no master: a sentinel may not know yet.
pub(super) async fn verified(mut connection: MultiplexedConnection) -> RedisResult<MultiplexedConnection> {
    let role: redis::Value = redis::cmd("ROLE").query_async(&mut connection).await?;
    match role {
        redis::Value::Array(parts) if matches!(parts.first(), Some(redis::Value::BulkString(role)) if role == b"master") => {
            Ok(connection)
        }
        _ => Err(RedisError::from((ErrorKind::Io, "the server that the sentinels name is not a master yet"))),
    }
}
