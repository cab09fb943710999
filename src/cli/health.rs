//! `health`: whether a relay answers, for health checks that can run nothing but this binary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::json;
use url::Url;

use super::output::Output;
use super::relay::Relay;
use super::{runtime, show};
use crate::config::{Config, Sources};

/// Asks a relay whether it answers, for health checks; 1 when it does not
#[derive(Args)]
pub(super) struct Health {
    /// Where the relay answers, if not where serve listens with this configuration
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Whether traffic should come, too: what /readyz says
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    output: Output,
}

impl Health {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let url = match self.url {
            Some(url) => url,
            // A file that has become wrong makes no relay unwell that runs.
            None => Url::parse(&format!("http://{}", here(Config::listen(&Sources::from_process(file)?)?)))?,
        };
        let path = if self.ready { "/readyz" } else { "/livez" };
        let (status, report) = runtime::block_on(1, Relay::new(url, None)?.probe(path))?;
        if self.output.json() {
            show::print(&json!({"path": path, "status": status.as_u16(), "report": report}).to_string())?;
            return Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if status.is_success() {
            show::print(&format!("{path} answered {status}"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let parts = report["parts"].as_array().into_iter().flatten().filter(|part| part["state"] == "not_ready");
        let why = parts.filter_map(|part| Some(format!(": {}: {}", part["name"].as_str()?, part["reason"].as_str()?)));
        bail!("{path} answered {status}{}", show::plain(&why.collect::<String>()))
    }
}

/// From this machine, where a relay listens on every address.
fn here(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::here;

    #[test]
    fn every_address_is_reached_by_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("127.0.0.1:81", "127.0.0.1:81"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            assert_eq!(here(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
