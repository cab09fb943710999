//! What runs in the demo: a Redis, a simulated Omni, a relay between them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::Mutex;
use url::Url;
use uuid::Uuid;

use super::super::{dirs, server};
use crate::app::{self, App};
use crate::config::{Config, Loaded, Sources};
use crate::runtime::{Lifecycle, Metrics, Outcome};
use crate::simulator::{Options, Simulator, User};
use crate::store::Store;
use crate::store::embedded::Embedded;

const MODEL: &str = "11111111-2222-4333-8444-555555555555";
/// Enough that nobody waits.
const REQUESTS_PER_MINUTE: u32 = 600;
/// Long enough to be seen working, short enough to be waited for.
const JOB: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_millis(1800);

/// All of it, running.
pub(super) struct Parts {
    redis: Option<Mutex<Embedded>>,
    /// How to look into the Redis: arguments of redis-cli.
    pub(super) redis_cli: String,
    pub(super) simulator: Simulator,
    pub(super) relay: Url,
    /// The console's address.
    pub(super) console: String,
    pub(super) namespace: String,
    pub(super) user: User,
    pub(super) store: Store,
    lifecycle: Lifecycle,
}

/// Starts everything at free ports, and with a namespace of its own, so that no run meets what another one left.
pub(super) async fn start(redis: &str, listen: Option<SocketAddr>) -> anyhow::Result<Parts> {
    let embedded = match redis {
        "embedded" => Some(server::start(dirs::cache("demo")?).await?),
        _ => None,
    };
    let redis_url = embedded.as_ref().map_or_else(|| redis.to_owned(), Embedded::url);
    let redis_cli = match &embedded {
        Some(server) => format!("-s '{}'", server.socket().display()),
        None => "-u '…'".to_owned(),
    };
    let user = User::new("demo-dana", "Dana Demo");
    let options = Options {
        users: vec![user.clone()],
        requests_per_minute: REQUESTS_PER_MINUTE,
        duration: JOB,
        ..Options::default()
    };
    let simulator = Simulator::start(options).await.context("failed to start the simulated Omni")?;
    let listen = match listen {
        Some(address) => address,
        None => free_port()?,
    };
    let namespace = format!("demo-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let loaded = load(&redis_url, &namespace, listen, &simulator)?;
    let lifecycle = Lifecycle::new();
    let parts = app::Parts { settings: loaded.show(), ..app::Parts::new(lifecycle.clone(), Metrics::install()?) };
    let app = App::start(&loaded.config, parts).await?;
    let admin = app.admin_address.context("the demo has no admin listener")?;
    Ok(Parts {
        redis: embedded.map(Mutex::new),
        redis_cli,
        simulator,
        relay: Url::parse(&format!("http://{}", app.address))?,
        console: format!("http://{admin}/console"),
        namespace,
        user,
        store: app.store,
        lifecycle,
    })
}

impl Parts {
    /// Ends when a part that the others need has ended by itself; says which.
    pub(super) async fn died(&self) -> String {
        let stop = self.lifecycle.stop_handle();
        let redis = async {
            match &self.redis {
                Some(server) => server.lock().await.ended().await.to_string(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.requested() => "a task of the relay died".to_owned(),
            error = redis => error,
        }
    }

    /// In the order in which nobody misses anybody.
    pub(super) async fn stop(self, grace: Duration) -> anyhow::Result<()> {
        let outcome = self.lifecycle.stop(grace).await;
        self.simulator.stop().await;
        if let Some(server) = self.redis {
            server.into_inner().stop().await.context("failed to stop the embedded Redis")?;
        }
        match outcome {
            Outcome::Clean => Ok(()),
            Outcome::Forced => bail!("the relay did not stop in {grace:?}"),
            Outcome::TaskFailed(task) => bail!("a task of the relay died: {task}"),
        }
    }
}

fn load(redis: &str, namespace: &str, listen: SocketAddr, simulator: &Simulator) -> anyhow::Result<Loaded> {
    let sources = Sources::default()
        .with("redis.url", redis)
        .with("namespace", namespace)
        .with("retention", "3h")
        .with("http.listen", listen.to_string())
        .with("http.admin_listen", "127.0.0.1:0")
        .with("omni.base_url", simulator.url())
        .with("omni.api_keys", Uuid::new_v4().to_string())
        .with("omni.requests_per_minute", REQUESTS_PER_MINUTE.to_string())
        .with("omni.model_id", MODEL)
        .with("webhook.public_url", format!("http://{listen}/webhooks/omni"))
        .with("webhook.secrets", Uuid::new_v4().to_string());
    Config::load(sources).context("failed to set up the relay")
}

/// Known before the relay listens there, because Omni is told where to send its webhooks.
fn free_port() -> anyhow::Result<SocketAddr> {
    let found = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    found.context("failed to find a free port")
}
