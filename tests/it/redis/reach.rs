//! Running a command on Redis in any of its forms, with nothing of the relay.

use std::time::Instant;

use redis::{Cmd, FromRedisValue, RedisResult, ServerErrorKind, Value};
use tokio::time::sleep;

use super::server::{POLL, READY_WITHIN, connect};

/// Runs a command on a connection of its own. While the servers agree on a new master, it waits.
pub(crate) async fn run<T: FromRedisValue>(url: &str, command: &Cmd) -> T {
    let Some((form, rest)) = url.strip_prefix("redis+").and_then(|rest| rest.split_once("://")) else {
        return on(url, command).await.expect("redis obeys");
    };
    let (hosts, name) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = hosts.rsplit_once('@').unwrap_or(("", hosts));
    let login = if login.is_empty() { String::new() } else { format!("{login}@") };
    let hosts: Vec<String> = hosts.split(',').map(|host| format!("{login}{host}")).collect();
    let give_up = Instant::now() + READY_WITHIN;
    loop {
        let answer = match form {
            "sentinel" => through_sentinels(&login, &hosts, name, command).await,
            _ => through_cluster(&login, &hosts, command).await,
        };
        match answer {
            Ok(value) => return redis::from_redis_value(value).expect("the kind of reply that was expected"),
            Err(error) => assert!(Instant::now() < give_up, "redis does not obey: {error}"),
        }
        sleep(POLL).await;
    }
}

async fn on<T: FromRedisValue>(url: &str, command: &Cmd) -> RedisResult<T> {
    command.query_async(&mut connect(url).await?).await
}

async fn through_sentinels(login: &str, hosts: &[String], name: &str, command: &Cmd) -> RedisResult<Value> {
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let (host, port): (String, u16) = anywhere(hosts, &question).await?;
    on(&format!("redis://{login}{host}:{port}/"), command).await
}

async fn through_cluster(login: &str, hosts: &[String], command: &Cmd) -> RedisResult<Value> {
    if command.get_packed_command().starts_with(b"*2\r\n$4\r\nKEYS") {
        let mut keys = Vec::new();
        for master in masters(hosts).await? {
            keys.extend(on::<Vec<Value>>(&format!("redis://{login}{master}/"), command).await?);
        }
        return Ok(Value::Array(keys));
    }
    let error = match anywhere(hosts, command).await {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    match error.redirect_node() {
        Some((node, _)) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::Moved) => {
            on(&format!("redis://{login}{node}/"), command).await
        }
        _ => Err(error),
    }
}

async fn masters(hosts: &[String]) -> RedisResult<Vec<String>> {
    let nodes: String = anywhere(hosts, redis::cmd("CLUSTER").arg("NODES")).await?;
    let masters = nodes.lines().filter(|line| line.contains("master") && !line.contains("fail"));
    Ok(masters.filter_map(|line| Some(line.split(' ').nth(1)?.split('@').next()?.to_owned())).collect())
}

/// On the first of them that answers: some may be gone, or silent.
async fn anywhere<T: FromRedisValue>(hosts: &[String], command: &Cmd) -> RedisResult<T> {
    let answering = hosts.iter().map(|host| {
        Box::pin(async move {
            let mut connection = connect(&format!("redis://{host}/")).await?;
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok::<_, redis::RedisError>(connection)
        })
    });
    let (mut connection, _) = futures_util::future::select_ok(answering).await?;
    command.query_async(&mut connection).await
}
