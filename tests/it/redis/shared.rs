//! One server for a test process, a namespace for each test.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;

use tempfile::TempDir;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::OnceCell;

use super::guard::Guard;
use super::private::PrivateRedis;
use super::process::Process;
use super::server::version_at;

const IMAGE: (&str, &str) = ("redis", "7.0");

/// A namespace of one's own on the server of this test process.
pub(crate) struct TestRedis {
    url: String,
    namespace: String,
}

impl TestRedis {
    pub(crate) async fn start() -> Self {
        static SHARED: OnceCell<Shared> = OnceCell::const_new();
        let shared = SHARED.get_or_init(Shared::start).await;
        Self { url: shared.url.clone(), namespace: format!("test-{}", uuid::Uuid::new_v4().simple()) }
    }

    pub(crate) async fn private() -> PrivateRedis {
        PrivateRedis::start().await
    }

    /// A server of one's own with the users of a file.
    pub(crate) async fn private_as(users: &std::path::Path) -> PrivateRedis {
        PrivateRedis::start_as(users).await
    }

    /// A server of one's own that starts from a dump.
    pub(crate) async fn private_with(dump: &std::path::Path) -> PrivateRedis {
        PrivateRedis::start_with(dump).await
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }
}

struct Shared {
    url: String,
    _server: Server,
}

/// Held, never dropped: the guards inside act when the process is gone.
#[expect(dead_code, reason = "held for what their end would do")]
enum Server {
    Given,
    Container(Box<ContainerAsync<GenericImage>>, Guard),
    Process(Process, TempDir),
}

impl Shared {
    async fn start() -> Self {
        let (kind, url, server) = Self::choose().await;
        let version = version_at(&url).await.expect("the server just answered");
        report(&format!("{kind}: {version}"));
        Self { url, _server: server }
    }

    async fn choose() -> (&'static str, String, Server) {
        if let Some(url) = variable("OMNI_RELAY_TEST_REDIS_URL") {
            assert!(version_at(&url).await.is_ok(), "nothing answers at OMNI_RELAY_TEST_REDIS_URL");
            return ("given", url, Server::Given);
        }
        let wanted = variable("OMNI_RELAY_TEST_REDIS").unwrap_or_else(|| "auto".to_owned());
        assert!(
            matches!(wanted.as_str(), "auto" | "container" | "process"),
            "OMNI_RELAY_TEST_REDIS is {wanted:?}: auto, container and process are known"
        );
        if wanted != "process" {
            match container().await {
                Ok((url, server)) => return ("container", url, server),
                Err(reason) => assert!(wanted == "auto", "OMNI_RELAY_TEST_REDIS=container, but {reason}"),
            }
        }
        let dir = tempfile::tempdir().expect("a directory for the server");
        let process = Process::start_anywhere(dir.path(), "everysec").await;
        ("process", process.url(), Server::Process(process, dir))
    }
}

async fn container() -> Result<(String, Server), String> {
    let engine = ["docker", "podman"]
        .iter()
        .find(|name| on_path(name))
        .ok_or("neither docker nor podman is on PATH to remove the container at the end")?;
    let (image, tag) = IMAGE;
    let name = format!("omni-relay-test-{}", uuid::Uuid::new_v4().simple());
    // On guard before the container is there: this process may end while the engine makes it, hence the second look.
    let script = r#""$1" rm -f -v "$2"; sleep 2; "$1" rm -f -v "$2""#;
    let guard = Guard::new(script, [OsStr::new(engine), OsStr::new(&name)]);
    let container = GenericImage::new(image, tag)
        .with_exposed_port(6379.tcp())
        .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
        .with_container_name(name)
        .with_cmd(["redis-server", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"])
        .start()
        .await
        .map_err(|error| format!("no container of {image}:{tag} starts: {error}"))?;
    // Not get_host(): inside a container that answers the bridge's gateway, where a loopback-only engine does not listen.
    let port = container.get_host_port_ipv4(6379.tcp()).await.map_err(|error| format!("no port: {error}"))?;
    Ok((format!("redis://127.0.0.1:{port}/"), Server::Container(Box::new(container), guard)))
}

fn report(line: &str) {
    eprintln!("redis of these tests: {line}");
    if let Some(path) = variable("OMNI_RELAY_TEST_REDIS_REPORT") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("the report can be written");
        writeln!(file, "{line}").expect("the report can be written");
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}
