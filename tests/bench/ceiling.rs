//! The least that could do the same: a receiver that verifies a webhook and stores it once, in one script; a consumer that
//! fetches 64 results at a time and publishes each, in one script. What the relay has besides is what it costs.

use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamReadReply};
use serde::Deserialize;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::bed::{Bed, SECRET, connect, eventually};
use crate::promises;

/// Where the receiver leaves events and the consumer finds them.
pub(crate) const INBOX: &str = "ceiling:inbox";
/// Where the consumer publishes.
pub(crate) const OUT: &str = "ceiling:out";
const IN_FLIGHT: usize = 64;
/// Who reads the streams.
const GROUP: &str = "relay";
pub(crate) const CONSUMER: &str = "me";

const RECEIVE: &str = "
  if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', 259200000) then return 0 end
  redis.call('XADD', KEYS[1], '*', 'entry', ARGV[1])
  return 1";
const PUBLISH: &str = "
  if redis.call('SET', KEYS[3], '1', 'NX', 'PX', 1209600000) then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000000, '*', 'data', ARGV[2])
  end
  redis.call('XACK', KEYS[1], 'relay', ARGV[1])
  redis.call('XDEL', KEYS[1], ARGV[1])
  return 1";

#[derive(Deserialize)]
struct Event<'a> {
    event_id: &'a str,
    #[serde(rename = "jobId")]
    job_id: &'a str,
}

struct Receiver {
    redis: MultiplexedConnection,
    script: redis::Script,
}

/// This program as a ceiling: what it is, Redis, its port, and what it needs besides.
pub(crate) fn run(words: &[String]) -> anyhow::Result<()> {
    let [kind, redis, port, more] = words else { bail!("four words follow --ceiling") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = redis::Client::open(redis.as_str())?;
        let connection = connect(&client).await?;
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        match kind.as_str() {
            "receive" => receive(connection, listener).await,
            "promises" => promises::consume(&client, connection, more).await,
            _ => consume(&client, connection, more).await,
        }
    })
}

async fn receive(redis: MultiplexedConnection, listener: TcpListener) -> anyhow::Result<()> {
    let receiver = Arc::new(Receiver { redis, script: redis::Script::new(RECEIVE) });
    let router = Router::new().route("/webhooks/omni", post(take)).with_state(receiver);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    mac.update(header("x-omni-signature-timestamp").as_bytes());
    mac.update(b".");
    mac.update(&body);
    let signature = hex::decode(header("x-omni-signature").trim_start_matches("sha256=")).unwrap_or_default();
    if mac.verify_slice(&signature).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(event) = serde_json::from_slice::<Event<'_>>(&body) else { return StatusCode::BAD_REQUEST };
    let mark = format!("ceiling:seen:{}:{}", event.event_id, event.job_id);
    let mut call = receiver.script.prepare_invoke();
    call.key(INBOX).key(mark).arg(&body[..]);
    match call.invoke_async::<i64>(&mut receiver.redis.clone()).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn consume(client: &redis::Client, redis: MultiplexedConnection, omni: &str) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "jobId")]
        job_id: String,
    }
    let (omni, http, script) = (omni.to_owned(), reqwest::Client::new(), redis::Script::new(PUBLISH));
    each(client, INBOX, |entry| {
        let (omni, http, script, mut redis) = (omni.clone(), http.clone(), script.clone(), redis.clone());
        async move {
            let body: String = entry.get("entry").context("an entry")?;
            let job = serde_json::from_str::<Body>(&body)?.job_id;
            let result = fetch(&http, &omni, &job).await?;
            let mut call = script.prepare_invoke();
            call.key(INBOX).key(OUT).key(format!("ceiling:done:{job}")).arg(&entry.id).arg(&result[..]);
            call.invoke_async::<i64>(&mut redis).await?;
            Ok(())
        }
    })
    .await
}

/// Does this for every entry of a stream, 64 at a time.
pub(crate) async fn each<F>(client: &redis::Client, inbox: &str, work: impl Fn(StreamId) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut reading = connect(client).await?;
    let mut group = redis::cmd("XGROUP");
    group.arg("CREATE").arg(inbox).arg(GROUP).arg("0").arg("MKSTREAM");
    let _ = group.query_async::<()>(&mut reading).await;
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    loop {
        drop(permits.acquire().await?);
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(CONSUMER).arg("COUNT").arg(permits.available_permits());
        read.arg("BLOCK").arg(100).arg("STREAMS").arg(inbox).arg(">");
        let entries: Option<StreamReadReply> = read.query_async(&mut reading).await?;
        for entry in entries.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            let (permit, work) = (permits.clone().acquire_owned().await?, work(entry));
            tokio::spawn(async move {
                work.await?;
                drop(permit);
                anyhow::Ok(())
            });
        }
    }
}

pub(crate) async fn fetch(http: &reqwest::Client, omni: &str, job: &str) -> anyhow::Result<Bytes> {
    let url = format!("{omni}/api/v1/ai/jobs/{job}/result");
    let answer = http.get(url).bearer_auth("omni_osk_bench").send().await?.error_for_status()?;
    Ok(answer.bytes().await?)
}

/// Until a stream is empty.
pub(crate) async fn emptied(bed: &Bed, stream: &str) -> anyhow::Result<()> {
    let empty = async || (bed.ask::<usize>(&["XLEN", stream]).await.ok()? == 0).then_some(());
    eventually("everything is done", empty).await
}
