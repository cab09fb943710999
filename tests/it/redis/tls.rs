//! Servers that speak TLS, with certificates made for the test.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::process::{PORTS, Process};
use super::server::{ask, until};

/// How the server is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Server,
    Sentinel,
    Cluster,
}

/// One server, with a sentinel beside it or as a Cluster of its own. It also has a port without TLS, for tests to look at.
pub(crate) struct Tls {
    process: Process,
    sentinel: Option<(Process, u16)>,
    form: Form,
    port: u16,
    dir: TempDir,
}

impl Tls {
    /// `None`, and said so, where the server program was built without TLS.
    pub(crate) async fn start(form: Form) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory for the server");
        // A Cluster is asked under one name and hands out the other.
        certify(dir.path(), if form == Form::Cluster { &["127.0.0.1", "localhost"] } else { &["127.0.0.1"] });
        let port = free();
        let mut more = speak(dir.path(), port);
        if form == Form::Cluster {
            more.extend(["--cluster-enabled".into(), "yes".into(), "--tls-cluster".into(), "yes".into()]);
            more.extend(["--cluster-announce-ip".into(), "127.0.0.1".into()]);
        }
        more.extend(["--appendonly".into(), "yes".into()]);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let Some(process) = Process::start_as(dir.path(), free(), &more).await else {
            let log = std::fs::read_to_string(dir.path().join("server.log")).unwrap_or_default();
            let skips = std::env::var_os("OMNI_RELAY_TEST_NO_SKIP").is_none_or(|value| value.is_empty());
            let without = log.is_empty() || log.contains("Failed finding TLS support");
            assert!(skips && without, "no server with TLS starts: {log}");
            eprintln!("skipped: the server program here is built without TLS");
            return None;
        };
        if form == Form::Cluster {
            let slots: Vec<String> = (0..16_384).map(|slot: u32| slot.to_string()).collect();
            let _: String =
                ask("", process.port, &format!("CLUSTER ADDSLOTS {}", slots.join(" "))).await.expect("free slots");
            until("the cluster stands", async || {
                let info: String = ask("", process.port, "CLUSTER INFO").await.unwrap_or_default();
                info.contains("cluster_state:ok")
            })
            .await;
        }
        let sentinel = if form == Form::Sentinel { Some(sentinel(dir.path(), port).await) } else { None };
        Some(Self { process, sentinel, form, port, dir })
    }

    /// For the relay, under a name of the certificate.
    pub(crate) fn url(&self) -> String {
        self.url_at(if self.form == Form::Cluster { "localhost" } else { "127.0.0.1" })
    }

    pub(crate) fn url_at(&self, host: &str) -> String {
        match (&self.form, &self.sentinel) {
            (_, Some((_, sentinel))) => format!("rediss+sentinel://{host}:{sentinel}/main"),
            (Form::Cluster, _) => format!("rediss+cluster://{host}:{}", self.port),
            _ => format!("rediss://{host}:{}", self.port),
        }
    }

    /// For the test.
    pub(crate) fn plain_url(&self) -> String {
        self.process.url()
    }

    /// Who signed the server's certificate, and somebody who did not.
    pub(crate) fn authorities(&self) -> (PathBuf, PathBuf) {
        (self.dir.path().join("ca.pem"), self.dir.path().join("other.pem"))
    }

    /// Connections that came in by TLS.
    pub(crate) async fn secure_connections(&self) -> usize {
        let list: String = ask("", self.process.port, "CLIENT LIST").await.expect("the server answers");
        list.lines().filter(|line| line.contains(&format!("laddr=127.0.0.1:{} ", self.port))).count()
    }
}

fn speak(dir: &Path, port: u16) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", file("server.pem")),
        ("--tls-key-file", file("server.key")),
        ("--tls-ca-cert-file", file("ca.pem")),
        ("--tls-auth-clients", "no".to_owned()),
        ("--tls-replication", "yes".to_owned()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect()
}

/// One that believes itself; it speaks TLS only.
async fn sentinel(dir: &Path, master: u16) -> (Process, u16) {
    let home = dir.join("sentinel");
    std::fs::create_dir(&home).expect("a directory for the sentinel");
    let (plain, port) = (free(), free());
    let file = home.join("sentinel.conf");
    let mut text = format!("port {plain}\nbind 127.0.0.1\ndir {0}\nlogfile {0}/sentinel.log\n", home.display());
    for pair in speak(dir, port).chunks(2) {
        text.extend([pair[0].trim_start_matches("--"), " ", &pair[1], "\n"]);
    }
    let text = format!("{text}sentinel monitor main 127.0.0.1 {master} 1\n");
    std::fs::write(&file, text).expect("a file for the sentinel");
    let arguments: [OsString; 2] = [file.into(), "--sentinel".into()];
    let is_ready = async |_: &str| ask::<Vec<String>>("", plain, "SENTINEL MASTER main").await.is_ok();
    let process = Process::launch(&home, plain, &arguments, is_ready).await.expect("a sentinel starts");
    (process, port)
}

/// An authority, a certificate of it for these names, and an authority that has nothing to do with it.
fn certify(dir: &Path, names: &[&str]) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    };
    let (ours, other) = (authority("ours"), authority("other"));
    let key = KeyPair::generate().expect("a key");
    let params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names");
    let server = params.signed_by(&key, &ours).expect("a certificate");
    for (name, text) in [
        ("ca.pem", ours.pem()),
        ("other.pem", other.pem()),
        ("server.pem", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(dir.join(name), text).expect("a file");
    }
}

fn free() -> u16 {
    (0..40)
        .map(|_| fastrand::u16(PORTS.start..22_000))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
