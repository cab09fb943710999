//! Asking a server things.

use std::path::Path;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisResult};
use tokio::time::sleep;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);
pub(super) const READY_WITHIN: Duration = Duration::from_secs(20);
pub(super) const POLL: Duration = Duration::from_millis(5);

/// Whether the server at `url` has loaded its data and is the one that works in `dir`, and not one that was faster on the same port.
pub(super) async fn serves(url: &str, dir: &Path) -> bool {
    let found = working_directory(url).await;
    found.is_ok_and(|found| dir.canonicalize().is_ok_and(|dir| dir == Path::new(&found)))
}

async fn working_directory(url: &str) -> RedisResult<String> {
    let mut connection = connect(url).await?;
    redis::cmd("PING").query_async::<()>(&mut connection).await?;
    let (_, dir): (String, String) = redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut connection).await?;
    Ok(dir)
}

pub(super) async fn version_at(url: &str) -> RedisResult<String> {
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connect(url).await?).await?;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
    Ok(match field("valkey_version:") {
        Some(version) => format!("Valkey {version}"),
        None => format!("Redis {}", field("redis_version:").unwrap_or("of an unknown version")),
    })
}

pub(super) async fn connect(url: &str) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + READY_WITHIN;
    while !holds() {
        assert!(Instant::now() < give_up, "waited {READY_WITHIN:?} until {what}");
        sleep(POLL).await;
    }
}

/// Asks one server, with a login where it wants one (`name:password@`).
pub(super) async fn ask<T: FromRedisValue>(login: &str, port: u16, line: &str) -> RedisResult<T> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().expect("a command"));
    command.arg(words.collect::<Vec<_>>());
    command.query_async(&mut connect(&format!("redis://{login}127.0.0.1:{port}/")).await?).await
}

/// From now on the replica cannot log in to its master.
pub(super) async fn cut(login: &str, replica: u16) {
    let _: String = ask(login, replica, "CONFIG SET masterauth wrong").await.expect("a replica answers");
}

/// It can again.
pub(super) async fn mend(login: &str, replica: u16) {
    let _: String = ask(login, replica, "CONFIG SET masterauth p@ss").await.expect("a replica answers");
}

pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + READY_WITHIN;
    while !holds().await {
        assert!(Instant::now() < give_up, "waited {READY_WITHIN:?} until {what}");
        sleep(POLL).await;
    }
}

pub(super) fn url_of(port: u16) -> String {
    format!("redis://127.0.0.1:{port}/")
}
