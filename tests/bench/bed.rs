//! What every bench stands on: a Redis of its own, the relay and the ceilings as processes, and what they use up.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use omni_relay::store::backlog::Limit;
use omni_relay::store::connection::Redis;
use omni_relay::store::pauses::{Note, Pausable, Paused};
use omni_relay::store::{Policy, Store};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};

pub(crate) const SECRET: &str = "whsec-of-the-benches";
pub(crate) const MODEL: &str = "11111111-1111-4111-8111-111111111111";
/// The relay's namespace, and what the ceilings' keys begin with.
pub(crate) const NAMESPACE: &str = "relay";
const PATIENCE: Duration = Duration::from_mins(2);

/// A Redis that writes everything down, once a second to the disk.
pub(crate) struct Bed {
    server: Running,
    pub(crate) url: String,
    pub(crate) redis: MultiplexedConnection,
    pub(crate) store: Store,
    folder: tempfile::TempDir,
}

/// A process that ends with its handle.
pub(crate) struct Running {
    child: Child,
    /// `http://host:port`.
    pub(crate) url: String,
}

/// CPU time at some moment, of the server measured and of Redis.
pub(crate) struct Used(Duration, Duration);

impl Bed {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0", "--dir"])
            .arg(folder.path());
        let server = Running { child: command.stdout(Stdio::null()).spawn()?, url: String::new() };
        let url = format!("redis://127.0.0.1:{port}");
        let client = redis::Client::open(url.as_str())?;
        let redis = eventually("redis answers", async || connect(&client).await.ok()).await?;
        let store = Store::new(Redis::new(&url)?, NAMESPACE, policy());
        Ok(Self { server, url, redis, store, folder })
    }

    /// Starts the relay, with the largest budget there is, and waits until it is ready.
    pub(crate) async fn relay(&self, omni: &str) -> anyhow::Result<Running> {
        self.relay_of(omni, 100_000).await
    }

    /// The same with a budget of so many requests a minute.
    pub(crate) async fn relay_of(&self, omni: &str, budget: u32) -> anyhow::Result<Running> {
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        // Another build of it, to be measured in the same run.
        let binary =
            std::env::var("OMNI_RELAY_BENCH_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_omni-relay").into());
        let mut command = Command::new(binary);
        let log = self.folder.path().join("relay.log");
        command.arg("serve").env_clear().stdout(Stdio::null()).stderr(File::create(&log)?);
        for (name, value) in [
            ("REDIS__URL", self.url.as_str()),
            ("NAMESPACE", NAMESPACE),
            ("HTTP__LISTEN", &address),
            ("HTTP__ADMIN_LISTEN", &address),
            ("OMNI__BASE_URL", omni),
            ("OMNI__API_KEYS", "omni_osk_bench"),
            ("OMNI__REQUESTS_PER_MINUTE", &budget.to_string()),
            ("OMNI__MODEL_ID", MODEL),
            ("WEBHOOK__PUBLIC_URL", &format!("http://{address}/webhooks/omni")),
            ("WEBHOOK__SECRETS", SECRET),
            ("BACKLOG__PROMPTS", "10000000"),
            ("BACKLOG__BYTES", "512MiB"),
        ] {
            command.env(format!("OMNI_RELAY__{name}"), value);
        }
        let running = Running { child: command.spawn()?, url: format!("http://{address}") };
        let http = reqwest::Client::new();
        let ready = async || {
            let answer = http.get(format!("{}/readyz", running.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        };
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        eventually("the relay is ready", ready).await.with_context(said)?;
        Ok(running)
    }

    /// Starts a ceiling: this program with other words.
    pub(crate) async fn ceiling(&self, kind: &str, more: &str) -> anyhow::Result<Running> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--ceiling", kind, &self.url, &port.to_string(), more]);
        let running = Running { child: command.spawn()?, url: format!("http://127.0.0.1:{port}") };
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok();
        eventually("the ceiling listens", listens).await?;
        Ok(running)
    }

    /// What these commands answer.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> anyhow::Result<T> {
        let mut command: Cmd = redis::cmd(words[0]);
        command.arg(&words[1..]);
        Ok(command.query_async(&mut self.redis.clone()).await?)
    }

    /// Forgets everything, between turns.
    pub(crate) async fn clear(&self) -> anyhow::Result<()> {
        self.ask(&["FLUSHALL"]).await
    }

    /// Lets a stage begin nothing from the start of the next relay.
    pub(crate) async fn pause(&self, stage: &str) -> anyhow::Result<()> {
        let what: Pausable = format!("stage:{stage}").parse().ok().context("no stage")?;
        let note = Note { who: "bench".to_owned(), at: jiff::Timestamp::now(), why: None };
        self.store.pause(&Paused { what, note }).await?;
        Ok(())
    }

    pub(crate) fn used(&self, server: &Running) -> anyhow::Result<Used> {
        Ok(Used(cpu(server.id())?, cpu(self.server.id())?))
    }

    /// CPU microseconds for each of `count`: the server's, and Redis's.
    pub(crate) fn each(&self, server: &Running, before: &Used, count: usize) -> anyhow::Result<[f64; 2]> {
        let now = self.used(server)?;
        let each = |used: Duration| used.as_secs_f64() * 1e6 / count as f64;
        Ok([each(now.0.saturating_sub(before.0)), each(now.1.saturating_sub(before.1))])
    }

    /// Commands that Redis ran by now, those in scripts too.
    pub(crate) async fn commands(&self) -> anyhow::Result<u64> {
        let stats: String = self.ask(&["INFO", "commandstats"]).await?;
        let calls =
            stats.lines().filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
        Ok(calls.sum())
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Resident memory, KiB.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(resident.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection whose answers may take long: what is measured must not be given up.
pub(crate) async fn connect(client: &redis::Client) -> redis::RedisResult<MultiplexedConnection> {
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&patient).await
}

/// As the shipped configuration has it, with a backlog that is never full.
pub(crate) fn policy() -> Policy {
    let days = |days: u64| Duration::from_hours(24 * days);
    let backlog = Limit { prompts: 10_000_000, bytes: 1 << 40, tenant_share: 100 };
    Policy { retention: days(14), answers_age: days(7), answers_len: 1_000_000, window: 1, backlog }
}

/// User and system time, in steps of 10 ms.
fn cpu(id: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> anyhow::Result<T> {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        ensure!(since.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
