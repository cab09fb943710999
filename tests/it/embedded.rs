//! The embedded server: what it keeps, what it takes over, what it refuses.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use omni_relay::store::embedded::{Embedded, EmbeddedError, EmbeddedOptions, ServerBinary, default_search};
use redis::{Client, RedisResult};

#[tokio::test]
async fn keeps_its_data_over_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let server = Embedded::start(EmbeddedOptions::new(dir.path())).await.unwrap();
    assert!(server.pid().is_some());
    assert!(server.version().starts_with(['R', 'V']), "{}", server.version());
    set(&server.url(), "kept").await.unwrap();
    let url = server.url();
    server.stop().await.unwrap();
    assert!(set(&url, "late").await.is_err());

    let server = Embedded::start(EmbeddedOptions::new(dir.path())).await.unwrap();
    assert_eq!(get(&server.url(), "kept").await.unwrap(), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn takes_over_from_a_server_whose_relay_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let url = format!("unix://{}", socket.display());
    let mut orphan = Command::new(ServerBinary::find(&default_search()).unwrap().path())
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let give_up = Instant::now() + Duration::from_secs(20);
    while set(&url, "from the orphan").await.is_err() {
        assert!(Instant::now() < give_up, "the server to be orphaned does not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let server = Embedded::start(EmbeddedOptions::new(dir.path())).await.unwrap();
    assert_ne!(server.pid(), Some(orphan.id()));
    assert!(orphan.wait().unwrap().success(), "the orphan was asked to stop, not killed");
    assert_eq!(get(&server.url(), "from the orphan").await.unwrap(), "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::start(EmbeddedOptions::new(dir.path())).await.unwrap();
    let second = Embedded::start(EmbeddedOptions::new(dir.path())).await;
    assert!(matches!(second.err(), Some(EmbeddedError::InUse { .. })));
    set(&first.url(), "undisturbed").await.unwrap();
    first.stop().await.unwrap();
}

#[tokio::test]
async fn tells_when_the_server_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Embedded::start(EmbeddedOptions::new(dir.path())).await.unwrap();
    let pid = server.pid().unwrap().to_string();
    assert!(Command::new("sh").args(["-c", "kill -TERM $0", &pid]).status().unwrap().success());
    let error = tokio::time::timeout(Duration::from_secs(20), server.ended()).await.unwrap();
    assert!(error.to_string().contains("server.log"), "{error}");
    assert_eq!(server.pid(), None);
}

#[tokio::test]
async fn a_start_that_fails_says_what_the_server_said() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("appendonlydir"), "in the way").unwrap();
    let error = Embedded::start(EmbeddedOptions::new(dir.path())).await.err().unwrap();
    assert!(matches!(error, EmbeddedError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("appendonlydir"), "{error}");
}

#[tokio::test]
async fn the_configured_program_is_the_only_one_tried() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { binary: Some("/nowhere/redis-server".into()), ..EmbeddedOptions::new(dir.path()) };
    let error = Embedded::start(options).await.err().unwrap();
    assert!(error.to_string().contains("/nowhere/redis-server"), "{error}");
}

async fn set(url: &str, key: &str) -> RedisResult<()> {
    let mut connection = Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("SET").arg(key).arg("1").query_async(&mut connection).await
}

async fn get(url: &str, key: &str) -> RedisResult<String> {
    let mut connection = Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("GET").arg(key).query_async(&mut connection).await
}
