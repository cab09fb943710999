//! The Redis of the tests does what tests rely on.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};

use crate::redis::TestRedis;

#[tokio::test]
async fn tests_share_a_server_and_not_a_namespace() {
    let (one, other) = (TestRedis::start().await, TestRedis::start().await);
    assert_eq!(one.url(), other.url());
    assert_ne!(one.namespace(), other.namespace());
    set(one.url(), one.namespace(), "1").await.unwrap();
}

#[tokio::test]
async fn a_private_server_keeps_its_port_and_its_data() {
    let mut server = TestRedis::private().await;
    let url = server.url();
    set(&url, "kept", "1").await.unwrap();

    server.stop().await;
    assert!(set(&url, "lost", "1").await.is_err());
    server.start_again().await;
    set(&url, "kept too", "1").await.unwrap();

    server.kill();
    assert!(set(&url, "lost", "1").await.is_err());
    server.start_again().await;
    let kept: usize = redis::cmd("DBSIZE").query_async(&mut connect(&url).await.unwrap()).await.unwrap();
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn a_paused_server_is_silent_until_it_is_resumed() {
    let server = TestRedis::private().await;
    server.pause();
    let error = set(&server.url(), "key", "1").await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    server.resume();
    set(&server.url(), "key", "1").await.unwrap();
}

async fn connect(url: &str) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_millis(500)));
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

async fn set(url: &str, key: &str, value: &str) -> RedisResult<()> {
    redis::cmd("SET").arg(key).arg(value).query_async(&mut connect(url).await?).await
}
