//! Where the relay answers: the public listener, and the admin one. Connections stay when what answers is replaced.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::serve::Listener as Accepting;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpListener;

use super::connection::{Entrance, Times};
use crate::config::HttpConfig;
use crate::http::{self, Served};
use crate::runtime::Lifecycle;

/// Whether a client is still there that says nothing, and to whom nothing is said: it is gone two minutes after it vanished.
const ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15)).with_retries(4);

/// Time for a request's headers. Proxies keep a connection that nothing is asked on for up to two minutes; it is they who
/// should end it, or a request could meet its end.
const HEADERS: Duration = Duration::from_secs(150);

/// Time for a client to take anything of an answer. Shorter than a stop waits for.
const TAKING: Duration = Duration::from_secs(20);

/// The bound listeners.
pub(super) struct Listeners {
    public: Listener,
    /// `None`: there is no admin listener, or the public one is both.
    admin: Option<Listener>,
    /// Whether the public one is both.
    both: bool,
}

struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// The listeners, open.
pub(super) struct Doors {
    public: Door,
    admin: Option<Door>,
    both: bool,
}

/// One listener, and what its connections lead to.
struct Door {
    address: SocketAddr,
    entrance: Arc<Entrance>,
}

impl Listeners {
    pub(super) async fn bind(config: &HttpConfig) -> anyhow::Result<Self> {
        let both = config.admin_listen == Some(config.listen);
        let public = Listener::bind(config.listen).await?;
        let admin = match config.admin_listen {
            Some(address) if !both => Some(Listener::bind(address).await?),
            _ => None,
        };
        Ok(Self { public, admin, both })
    }

    /// Lets requests in, until the lifecycle stops.
    pub(super) fn open(self, served: &Served, lifecycle: &Lifecycle) -> Doors {
        let (public, admin) = routers(served, self.both);
        let public = self.public.open("http", public, lifecycle);
        let admin = self.admin.map(|listener| listener.open("admin", admin, lifecycle));
        Doors { public, admin, both: self.both }
    }
}

impl Listener {
    async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
        Ok(Self { address: socket.local_addr()?, socket })
    }

    fn open(self, name: &'static str, router: Router, lifecycle: &Lifecycle) -> Door {
        let (mut socket, stop) = (self.socket, lifecycle.stop_handle());
        let entrance = Arc::new(Entrance::new(router, Times { headers: HEADERS, taking: TAKING }, stop.clone()));
        let door = Door { address: self.address, entrance: entrance.clone() };
        let connections = lifecycle.clone();
        lifecycle.spawn(name, async move {
            loop {
                let (stream, peer) = tokio::select! {
                    // axum's: goes on after what breaks off, and waits where there are no more descriptors.
                    accepted = Accepting::accept(&mut socket) => accepted,
                    () = stop.requested() => return Ok::<_, Infallible>(()),
                };
                // Answers are small and wanted at once; a socket that refuses an option works without it.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&ALIVE);
                // Its task has three places for it, of which two stay empty.
                let connection = Box::pin(entrance.clone().serve(stream, peer));
                drop(connections.spawn_child("connection", connection));
            }
        });
        door
    }
}

impl Doors {
    pub(super) fn address(&self) -> SocketAddr {
        self.public.address
    }

    pub(super) fn admin_address(&self) -> Option<SocketAddr> {
        if self.both { Some(self.public.address) } else { self.admin.as_ref().map(|door| door.address) }
    }

    /// Has every request from now on answered by these services.
    pub(super) fn lead_to(&self, served: &Served) {
        let (public, admin) = routers(served, self.both);
        self.public.entrance.lead_to(public);
        if let Some(door) = &self.admin {
            door.entrance.lead_to(admin);
        }
    }
}

/// The public router and the admin one, or both in the first.
fn routers(served: &Served, both: bool) -> (Router, Router) {
    let (public, admin) = (http::public(served), http::admin(served));
    if both { (public.merge(admin), Router::new()) } else { (public, admin) }
}
