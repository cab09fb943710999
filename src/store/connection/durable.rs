//! Moves that replicas must hold before they count.
//!
//! WAIT asks for what its own connection wrote last and blocks it meanwhile: each of these moves has a connection to itself
//! until the replicas have answered. A move that changed nothing (a duplicate) says something about an earlier write, which
//! may be on its way: hence a small write of its own between the move and WAIT.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::RESPONSE;
use super::node::Node;
use crate::runtime::millis;
use crate::store::StoreError;
use crate::store::script::Call;

/// How long replicas may take.
const HOLD: Duration = Duration::from_secs(1);
/// Moves at once, and with them connections.
const AT_ONCE: usize = 16;
/// After too few replicas answered, this long passes before they are asked again.
const REST: Duration = Duration::from_millis(500);
/// Life of the small write, milliseconds.
const MARK: u64 = 60_000;

/// What must be held, and by how many.
#[derive(Clone, Copy)]
pub(super) struct Proof<'a> {
    /// A key of the move's slot, for the small write.
    pub(super) mark: &'a str,
    pub(super) replicas: u32,
}

/// The connections of one node for this.
pub(super) struct Durable {
    permits: Semaphore,
    /// With the number of moves to other masters when they were opened.
    idle: Mutex<Vec<(u64, MultiplexedConnection)>>,
    /// When too few replicas answered last, until enough do.
    short: Mutex<Option<Instant>>,
}

impl Default for Durable {
    fn default() -> Self {
        Self { permits: Semaphore::new(AT_ONCE), idle: Mutex::default(), short: Mutex::default() }
    }
}

impl Node {
    /// Runs a script and waits until replicas hold what it did. While too few answer it is not run at all.
    pub(super) async fn run_durably<T: FromRedisValue>(
        &self,
        call: &Call<'_>,
        proof: Proof<'_>,
    ) -> Result<T, StoreError> {
        self.durably(proof, async |connection| Ok(call.invoke(connection).await?)).await
    }

    /// Whether enough replicas answer.
    pub(super) async fn prove(&self, proof: Proof<'_>) -> Result<(), StoreError> {
        self.durably(proof, async |_| Ok(())).await
    }

    async fn durably<T>(
        &self,
        proof: Proof<'_>,
        act: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let durable = &self.durable;
        let was_short = *lock(&durable.short);
        if was_short.is_some_and(|at| at.elapsed() < REST) {
            return Err(StoreError::NotReplicated);
        }
        // Whoever waits that long for a connection waits behind those that wait for replicas.
        let permit = timeout(HOLD, durable.permits.acquire()).await.map_err(|_| StoreError::NotReplicated)?;
        let _permit = permit.map_err(|_| StoreError::Unavailable(None))?;
        let acted = async {
            let (moves, mut connection) = self.own().await?;
            if was_short.is_some() {
                durable.hold(&mut connection, proof).await?;
            }
            let acted = act(&mut connection).await;
            match &acted {
                Ok(_) => durable.hold(&mut connection, proof).await?,
                // What Redis refuses in passing says nothing against the connection.
                Err(StoreError::NotReady(_)) => {}
                Err(_) => return acted,
            }
            lock(&durable.idle).push((moves, connection));
            acted
        };
        let result = acted.await;
        // The others lead where this one led.
        let leaves = |error: &StoreError| error.leaves_server() || matches!(error, StoreError::NotReplicated);
        if result.as_ref().is_err_and(leaves) {
            lock(&durable.idle).clear();
        }
        result
    }

    async fn own(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        let now = self.moves();
        loop {
            let idle = lock(&self.durable.idle).pop();
            match idle {
                Some((moves, connection)) if moves == now => return Ok((moves, connection)),
                Some(_) => {}
                None => return Ok((now, self.open(RESPONSE).await?.0)),
            }
        }
    }
}

impl Durable {
    /// Everything that this connection did until now is on enough replicas once this answers.
    async fn hold(&self, connection: &mut MultiplexedConnection, proof: Proof<'_>) -> Result<(), StoreError> {
        let patience = millis(HOLD);
        let mut mark = redis::pipe();
        mark.cmd("SET").arg(proof.mark).arg("1").arg("PX").arg(MARK).ignore();
        mark.cmd("WAIT").arg(proof.replicas).arg(patience);
        let (held,): (u32,) = mark.query_async(connection).await?;
        let enough = held >= proof.replicas;
        *lock(&self.short) = (!enough).then(Instant::now);
        if enough { Ok(()) } else { Err(StoreError::NotReplicated) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
