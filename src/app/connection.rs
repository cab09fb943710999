//! One connection: which HTTP it speaks, how long a request's headers may take and a client may take nothing, and how it ends.
//!
//! HTTP/1.1 is told apart before anything is read. A server that reads a little to find out, as `axum::serve` does, has
//! each connection hold a buffer of 16 KiB for as long as it lasts, where 8 are enough.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutWriter;
use tower::Service;

use crate::runtime::Stop;

/// What a client says first that speaks HTTP/2.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the connections of a listener share.
pub(super) struct Entrance {
    router: RwLock<Router>,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    times: Times,
    stop: Stop,
}

/// How long a client may take.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// For a request's headers, counted from the answer to the request before.
    pub(super) headers: Duration,
    /// To take anything at all of what it is sent.
    pub(super) taking: Duration,
}

impl Entrance {
    /// One to `router`.
    pub(super) fn new(router: Router, times: Times, stop: Stop) -> Self {
        let (mut http1, http2) = (http1::Builder::new(), http2::Builder::new(TokioExecutor::new()));
        http1.timer(TokioTimer::new()).header_read_timeout(times.headers);
        Self { router: RwLock::new(router), http1, http2, times, stop }
    }

    /// Has every request from now on answered by this router, on whichever connection it comes.
    pub(super) fn lead_to(&self, router: Router) {
        *self.router.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    /// Answers the requests of a connection until its client ends it. After a stop: until what is begun is answered.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let http2 = tokio::select! {
            http2 = timeout(self.times.headers, speaks_http2(&stream)) => http2,
            () = self.stop.requested() => return,
        };
        let Ok(Ok(http2)) = http2 else { return };
        let entrance = self.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = entrance.router.read().unwrap_or_else(PoisonError::into_inner).clone();
            router.call(request)
        });
        // An answer that nobody takes is asked for nothing more, not even whether it is over.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(self.times.taking));
        let stream = TokioIo::new(Box::pin(stream));
        if http2 {
            let connection = Box::pin(self.http2.serve_connection(stream, service));
            self.to_its_end(connection, http2::Connection::graceful_shutdown).await;
        } else {
            let connection = Box::pin(self.http1.serve_connection(stream, service));
            self.to_its_end(connection, http1::Connection::graceful_shutdown).await;
        }
    }

    /// What breaks a connection off is its client's to know.
    async fn to_its_end<C: Future>(&self, mut connection: Pin<Box<C>>, finish: fn(Pin<&mut C>)) {
        tokio::select! {
            _ended = connection.as_mut() => return,
            () = self.stop.requested() => finish(connection.as_mut()),
        }
        let _ended = connection.await;
    }
}

/// Whether the first bytes are those of HTTP/2, which come in one piece. They stay where they are.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    stream.peek(&mut first).await?;
    Ok(first == *PREFACE)
}

#[cfg(test)]
mod tests {
    use axum::http::Version;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::runtime::Lifecycle;

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_mins(1);
    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// A listener whose connections lead to this router.
    async fn open(router: Router, headers: Duration, stop: Stop) -> (SocketAddr, JoinSet<()>) {
        open_for(router, Times { headers, taking: LONG }, stop).await
    }

    async fn open_for(router: Router, times: Times, stop: Stop) -> (SocketAddr, JoinSet<()>) {
        let entrance = Arc::new(Entrance::new(router, times, stop));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, mut tasks) = (listener.local_addr().unwrap(), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                connections.spawn(entrance.clone().serve(stream, peer));
            }
        });
        (address, tasks)
    }

    async fn say(address: SocketAddr, words: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        stream
    }

    /// What comes until the connection ends.
    async fn heard(mut stream: TcpStream) -> String {
        let mut heard = String::new();
        timeout(LONG, stream.read_to_string(&mut heard)).await.expect("the connection ends").unwrap();
        heard
    }

    #[tokio::test]
    async fn headers_have_a_time_and_answers_have_not() {
        let slow = get(async || sleep(2 * SHORT).await);
        let (address, _tasks) = open(Router::new().route("/", slow), SHORT, Stop::default()).await;
        for words in ["", "PRI ", "GET / HTTP/1.1\r\nhost: x\r\n"] {
            let since = Instant::now();
            assert_eq!(heard(say(address, words).await).await, "", "{words:?}");
            assert!(since.elapsed() >= SHORT, "{words:?} has its time");
        }
        let answer = heard(say(address, REQUEST).await).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    /// Dropped with the answer that holds it.
    struct Gone(Arc<Semaphore>);

    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_has_a_time() {
        let gone = Arc::new(Semaphore::new(0));
        let ends = gone.clone();
        let endless = get(async move || {
            let held = Gone(ends.clone());
            let chunk = move || {
                let _ = &held;
                Ok::<_, io::Error>(vec![0; 64 * 1024])
            };
            Body::from_stream(futures_util::stream::repeat_with(chunk))
        });
        let times = Times { headers: LONG, taking: 2 * SHORT };
        let (address, _tasks) = open_for(Router::new().route("/", endless), times, Stop::default()).await;
        let mut slow = say(address, REQUEST).await;
        for _ in 0..8 {
            sleep(SHORT).await;
            // More than the kernel keeps: it tells of room when there is a good deal of it.
            timeout(LONG, slow.read_exact(&mut vec![0; 8 << 20])).await.expect("it goes on").unwrap();
        }
        assert_eq!(gone.available_permits(), 0, "who takes some now and then is served");
        timeout(LONG, gone.acquire()).await.expect("the answer ends").unwrap().forget();
    }

    #[tokio::test]
    async fn either_http_is_spoken() {
        let told =
            async |version: Version, ConnectInfo(peer): ConnectInfo<SocketAddr>| format!("{version:?} {}", peer.ip());
        let (address, _tasks) = open(Router::new().route("/", get(told)), LONG, Stop::default()).await;
        let client = reqwest::Client::builder;
        for (client, spoken) in [(client(), "HTTP/1.1"), (client().http2_prior_knowledge(), "HTTP/2.0")] {
            let answer = client.build().unwrap().get(format!("http://{address}/")).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), format!("{spoken} 127.0.0.1"));
        }
    }

    #[tokio::test]
    async fn a_stop_waits_for_what_is_begun_and_for_nothing_else() {
        let (begun, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (begins, goes) = (begun.clone(), go.clone());
        let held = get(async move || {
            begins.add_permits(1);
            goes.acquire().await.unwrap().forget();
        });
        let router = Router::new().route("/", get(async || "")).route("/held", held);
        let lifecycle = Lifecycle::new();
        let (address, _tasks) = open(router, LONG, lifecycle.stop_handle()).await;
        let silent = say(address, "").await;
        let mut idle = say(address, REQUEST).await;
        assert!(timeout(LONG, idle.read(&mut [0; 1024])).await.expect("an answer").unwrap() > 0);
        let held = say(address, &REQUEST.replace("/ ", "/held ")).await;
        timeout(LONG, begun.acquire()).await.expect("the request begins").unwrap().forget();
        lifecycle.request_stop();
        assert_eq!((heard(silent).await, heard(idle).await), (String::new(), String::new()));
        go.add_permits(1);
        let answer = heard(held).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    }
}
