//! The handle that everybody has.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use redis::io::tcp;
use redis::{Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError, ServerErrorKind};

use super::cluster::Cluster;
use super::dedicated::Dedicated;
use super::durable::Proof;
use super::node::{Node, Place};
use super::sentinel::Sentinels;
use super::{PAUSE, RESPONSE, slot};
use crate::config::RedisAddress;
use crate::store::StoreError;
use crate::store::script::Call;

const KEEPALIVE: Duration = Duration::from_secs(15);
/// Between probes, and how many go unanswered before a connection is dead: a subscription has nothing else to notice by.
const PROBES: (Duration, u32) = (Duration::from_secs(5), 3);
/// How often a command is sent where Redis says that its key is.
const REDIRECTS: usize = 2;

/// A handle on Redis: cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Redis {
    form: Arc<Form>,
    /// Where a command without a key goes.
    home: u16,
    /// How many replicas must hold a move that asks for it.
    replicas: u32,
}

enum Form {
    One(Arc<Node>),
    Cluster(Box<Cluster>),
}

impl Redis {
    /// Prepares a handle; nothing is connected yet. The URL is one of those that [`RedisAddress`] reads.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let unreadable =
            |_| StoreError::from(RedisError::from((ErrorKind::InvalidClientConfig, "an unreadable address")));
        let form = match RedisAddress::parse(url).map_err(unreadable)? {
            RedisAddress::Server(url) => Form::One(Arc::new(Node::new(Place::Fixed(Client::open(info(&url)?)?)))),
            RedisAddress::Sentinel { sentinels, master } => {
                let sentinels = Sentinels { addresses: infos(&sentinels)?, master, election: AtomicU64::new(0) };
                Form::One(Arc::new(Node::new(Place::Elected(sentinels))))
            }
            RedisAddress::Cluster { nodes } => Form::Cluster(Box::new(Cluster::new(&infos(&nodes)?)?)),
        };
        Ok(Self { form: Arc::new(form), home: 0, replicas: 0 })
    }

    /// The same, with commands that have no key going where this key is.
    pub(crate) fn at_home(mut self, key: &str) -> Self {
        self.home = slot::of(key.as_bytes());
        self
    }

    /// The same, with moves that ask for it counting once this many replicas hold them.
    #[must_use]
    pub const fn with_replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    pub(in crate::store) const fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Runs one command. Its keys share a slot.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let (mut redirects, since) = (0, Instant::now());
        loop {
            let result = self.node(|| self.slot(command)).await?.query(command).await;
            if !self.is_redirected(&result, &mut redirects).await {
                return timed(since, result);
            }
        }
    }

    /// Runs one script; it is loaded where Redis does not know it. Its keys share a slot. With `mark`, a key of that slot
    /// too, it counts once replicas hold it, where any are asked for.
    pub(in crate::store) async fn run<T: FromRedisValue>(
        &self,
        call: &Call<'_>,
        mark: Option<&str>,
    ) -> Result<T, StoreError> {
        let proof = mark.filter(|_| self.replicas > 0).map(|mark| Proof { mark, replicas: self.replicas });
        let (mut redirects, since) = (0, Instant::now());
        loop {
            let node = self.node(|| self.slot(call.command())).await?;
            let result = match proof {
                Some(proof) => Box::pin(node.run_durably(call, proof)).await,
                None => node.run(call).await,
            };
            if !self.is_redirected(&result, &mut redirects).await {
                return timed(since, result);
            }
        }
    }

    /// A connection for blocking reads of `key`: replies may take `block` longer than usual.
    pub async fn dedicated(&self, key: &str, block: Duration) -> Result<Dedicated, StoreError> {
        let node = self.node(|| slot::of(key.as_bytes())).await?;
        let moves = node.moves();
        match node.open(block + RESPONSE).await {
            Ok((connection, _)) => Ok(Dedicated { redis: self.clone(), node, moves, connection }),
            Err(error) => {
                self.doubt(&error).await;
                Err(error)
            }
        }
    }

    /// A subscription of its own. In a Cluster every node hears what is published on any.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<redis::aio::PubSub, StoreError> {
        let opened = self.node(|| self.home).await?.subscribe(channel).await;
        if let Err(error) = &opened {
            self.doubt(error).await;
        }
        opened
    }

    /// Whether Redis answers. Called now and then, it also leaves a master that the sentinels have replaced.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if let Form::One(node) = &*self.form {
            node.follow().await;
        }
        self.query::<String>(&redis::cmd("PING")).await.map(|_| ())
    }

    /// Whether as many replicas answer as are asked for, at the node that holds this key.
    pub(in crate::store) async fn prove(&self, mark: &str) -> Result<(), StoreError> {
        if self.replicas == 0 {
            return Ok(());
        }
        let node = self.node(|| slot::of(mark.as_bytes())).await?;
        let proven = node.prove(Proof { mark, replicas: self.replicas }).await;
        if let Err(error) = &proven {
            self.doubt(error).await;
        }
        proven
    }

    /// The node for a slot, which only a Cluster asks for.
    async fn node(&self, slot: impl FnOnce() -> u16) -> Result<Arc<Node>, StoreError> {
        match &*self.form {
            Form::One(node) => Ok(node.clone()),
            Form::Cluster(cluster) => cluster.node(slot()).await,
        }
    }

    fn slot(&self, command: &Cmd) -> u16 {
        slot::key(command).map_or(self.home, slot::of)
    }

    /// What passes may have passed at another node.
    pub(super) async fn doubt(&self, error: &StoreError) {
        if let Form::Cluster(cluster) = &*self.form
            && error.passes()
        {
            cluster.doubt().await;
        }
    }

    /// Whether the command was not run because its key is elsewhere by now.
    async fn is_redirected<T>(&self, result: &Result<T, StoreError>, redirects: &mut usize) -> bool {
        let Err(error) = result else { return false };
        self.doubt(error).await;
        let moved =
            matches!(error, StoreError::NotReady(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved));
        *redirects += 1;
        let again = moved && *redirects <= REDIRECTS && matches!(&*self.form, Form::Cluster(_));
        // The map was just drawn when the slot moved on, and is not drawn anew before that.
        if again && *redirects == REDIRECTS {
            tokio::time::sleep(PAUSE).await;
        }
        again
    }
}

/// What Redis answered, after how long it did; what went unanswered says nothing of that.
fn timed<T>(since: Instant, result: Result<T, StoreError>) -> Result<T, StoreError> {
    if result.is_ok() {
        metrics::histogram!("omni_relay_redis_duration_seconds").record(since.elapsed());
    }
    result
}

fn infos(urls: &[String]) -> Result<Vec<ConnectionInfo>, StoreError> {
    urls.iter().map(|url| info(url)).collect()
}

fn info(url: &str) -> Result<ConnectionInfo, StoreError> {
    let keepalive =
        tcp::socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(PROBES.0).with_retries(PROBES.1);
    let settings = tcp::TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    let info = url.into_connection_info()?;
    // It would be one more right to grant, and one that Redis 7.0 does not know.
    let login = info.redis_settings().clone().set_skip_set_lib_name();
    Ok(info.set_redis_settings(login).set_tcp_settings(settings))
}
