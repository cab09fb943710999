//! Where the relay answers: the public listener, and the admin one.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::http::{self, Served};
use crate::runtime::Lifecycle;

/// Whether a client is still there that says nothing, and to whom nothing is said: it is gone two minutes after it vanished.
const ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15)).with_retries(4);

/// The public listener, and the admin one where it has an address of its own.
pub(super) async fn listen(
    config: &Config,
    served: &Served,
    lifecycle: &Lifecycle,
) -> anyhow::Result<(SocketAddr, Option<SocketAddr>)> {
    let same = config.http.admin_listen == Some(config.http.listen);
    let mut public = http::public(served);
    if same {
        public = public.merge(http::admin(served));
    }
    let address = serve("http", config.http.listen, public, lifecycle).await?;
    let admin_address = match config.http.admin_listen {
        Some(_) if same => Some(address),
        Some(admin) => Some(serve("admin", admin, http::admin(served), lifecycle).await?),
        None => None,
    };
    Ok((address, admin_address))
}

async fn serve(
    name: &'static str,
    address: SocketAddr,
    router: axum::Router,
    lifecycle: &Lifecycle,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    let bound = listener.local_addr()?;
    let stop = lifecycle.stop_handle();
    let listener = listener.tap_io(|stream| {
        // Answers are small and wanted at once; a socket that refuses an option works without it.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&*stream).set_tcp_keepalive(&ALIVE);
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    lifecycle.spawn(name, async move {
        axum::serve(listener, service).with_graceful_shutdown(async move { stop.requested().await }).await
    });
    Ok(bound)
}
