//! The two words the owner of the server says to it: is it there, and stop.

use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisResult, ServerErrorKind};
use url::Url;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ready,
    /// Something listens: it is loading its data, or it does not answer.
    Busy,
    Absent,
}

/// The URL of a Unix socket as the redis crate reads it.
pub(super) fn url_of(socket: &Path) -> String {
    let path = Url::from_file_path(socket).map_or_else(|()| socket.display().to_string(), |url| url.path().to_owned());
    format!("unix://{path}")
}

pub(super) async fn ping(socket: &Path) -> Answer {
    match connect(socket).await {
        Ok(mut connection) => match redis::cmd("PING").query_async::<String>(&mut connection).await {
            Ok(_) => Answer::Ready,
            Err(error) => presence(&error),
        },
        Err(error) => presence(&error),
    }
}

/// Asks for an orderly stop, which writes and syncs the append-only file. The answer is a closed connection.
pub(super) async fn shutdown(socket: &Path) {
    if let Ok(mut connection) = connect(socket).await {
        let _closed: RedisResult<()> = redis::cmd("SHUTDOWN").query_async(&mut connection).await;
    }
}

async fn connect(socket: &Path) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    Client::open(url_of(socket))?.get_multiplexed_async_connection_with_config(&config).await
}

fn presence(error: &redis::RedisError) -> Answer {
    if error.is_timeout() || error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading) {
        Answer::Busy
    } else {
        Answer::Absent
    }
}

#[cfg(test)]
mod tests {
    use redis::{ConnectionAddr, IntoConnectionInfo};

    use super::*;

    #[test]
    fn the_url_leads_back_to_the_path() {
        for path in ["/run/relay/redis.sock", "/home/a b/50%/redis.sock"] {
            let info = url_of(Path::new(path)).into_connection_info().unwrap();
            assert!(matches!(info.addr(), ConnectionAddr::Unix(found) if found == Path::new(path)), "{path}");
        }
    }
}
