//! Where the relay answers: the public listener, and the admin one. Connections stay when what answers is replaced.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::serve::ListenerExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::config::HttpConfig;
use crate::http::{self, Served};
use crate::runtime::Lifecycle;

/// Whether a client is still there that says nothing, and to whom nothing is said: it is gone two minutes after it vanished.
const ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15)).with_retries(4);

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

/// One listener, and the router that its requests go to.
struct Door {
    address: SocketAddr,
    router: Arc<RwLock<Router>>,
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
        let stop = lifecycle.stop_handle();
        let socket = self.socket.tap_io(|stream| {
            // Answers are small and wanted at once; a socket that refuses an option works without it.
            let _ = stream.set_nodelay(true);
            let _ = SockRef::from(&*stream).set_tcp_keepalive(&ALIVE);
        });
        let door = Door { address: self.address, router: Arc::new(RwLock::new(router)) };
        let current = door.router.clone();
        // Each request takes the router of its moment, whenever its connection was made.
        let service = Router::new().fallback(move |request: Request| {
            let router = current.read().unwrap_or_else(PoisonError::into_inner).clone();
            router.oneshot(request)
        });
        let service = service.into_make_service_with_connect_info::<SocketAddr>();
        lifecycle.spawn(name, async move {
            axum::serve(socket, service).with_graceful_shutdown(async move { stop.requested().await }).await
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
        self.public.lead_to(public);
        if let Some(door) = &self.admin {
            door.lead_to(admin);
        }
    }
}

impl Door {
    fn lead_to(&self, router: Router) {
        *self.router.write().unwrap_or_else(PoisonError::into_inner) = router;
    }
}

/// The public router and the admin one, or both in the first.
fn routers(served: &Served, both: bool) -> (Router, Router) {
    let (public, admin) = (http::public(served), http::admin(served));
    if both { (public.merge(admin), Router::new()) } else { (public, admin) }
}
