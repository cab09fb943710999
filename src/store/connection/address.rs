//! Where a server is, and how it is connected to.

use std::time::Duration;

use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError};

use super::CONNECT;
use crate::store::StoreError;

/// Host and port, as Sentinels and Clusters name them.
pub(super) type Address = (String, u16);

/// The same connection to another address.
pub(super) fn at(like: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    like.clone().set_addr(match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    })
}

pub(super) fn address(info: &ConnectionInfo) -> Result<Address, StoreError> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Ok((host.clone(), *port)),
        _ => Err(RedisError::from((ErrorKind::InvalidClientConfig, "a cluster is reached over TCP")).into()),
    }
}

pub(super) fn settings(response: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(response))
}
