//! Requests that were made beforehand, sent over kept-alive connections, and how long their answers took.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Connections at once.
const CONNECTIONS: usize = 64;

/// What a load found.
pub(crate) struct Found {
    /// Microseconds.
    pub(crate) times: Histogram<u64>,
    pub(crate) took: Duration,
    /// Answers of 2xx.
    pub(crate) good: usize,
}

impl Found {
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.times.value_at_quantile(quantile) as f64
    }
}

/// Sends every request once. Without a rate each connection sends when it was answered; with one each request has its time,
/// and is timed from then, whenever it could be sent.
pub(crate) async fn send(address: &str, requests: &[Bytes], rate: Option<f64>) -> anyhow::Result<Found> {
    let (next, good) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let times = Rc::new(RefCell::new(Histogram::new(3)?));
    let requests: Rc<[Bytes]> = requests.into();
    let began = Instant::now();
    let local = LocalSet::new();
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS.min(requests.len()) {
        let (next, good, times, requests) = (next.clone(), good.clone(), times.clone(), requests.clone());
        let mut connection = Connection::open(address).await?;
        tasks.push(local.spawn_local(async move {
            loop {
                let place = next.replace(next.get() + 1);
                let Some(request) = requests.get(place) else { return anyhow::Ok(()) };
                let due = match rate {
                    Some(rate) => began + Duration::from_secs_f64(place as f64 / rate),
                    None => Instant::now(),
                };
                tokio::time::sleep_until(due.into()).await;
                let status = connection.exchange(request).await?;
                times.borrow_mut().record(u64::try_from(due.elapsed().as_micros())?)?;
                good.set(good.get() + usize::from((200..300).contains(&status)));
            }
        }));
    }
    let all = local.run_until(futures_util::future::try_join_all(tasks)).await?;
    all.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    let took = began.elapsed();
    let times = times.borrow().clone();
    Ok(Found { times, took, good: good.get() })
}

/// Knows just enough of HTTP/1.1.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// The status of the answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed");
            }
            let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&self.buffer[..head])?.to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(Ok(0), |length| length.trim().parse())?;
            if self.buffer.len() >= head + 4 + length {
                return text.get(9..12).context("no status")?.parse().context("no status");
            }
        }
    }
}

/// A request as it goes over the wire.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Bytes {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let _ = write!(text, "content-length: {}\r\n\r\n{body}", body.len());
    text.into()
}
