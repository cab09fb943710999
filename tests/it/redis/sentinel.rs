//! A master, two replicas, and three sentinels that watch them.

use std::ffi::OsString;
use std::net::TcpListener;

use tempfile::TempDir;

use super::process::{PORTS, Process};
use super::server::{ask, cut, mend, until};

/// Processes of one test. The sentinels hold a master for dead after a second.
pub(crate) struct Trio {
    servers: Vec<(Process, TempDir)>,
    sentinels: Vec<(Process, TempDir)>,
    name: String,
    login: &'static str,
}

impl Trio {
    pub(crate) async fn start() -> Self {
        let name = format!("m-{}", uuid::Uuid::new_v4().simple());
        let mut servers = vec![server(None).await];
        let master = servers[0].0.port;
        for _ in 0..2 {
            servers.push(server(Some(master)).await);
        }
        for (replica, _) in &servers[1..] {
            until("the replica follows", async || {
                let info: String = ask("", replica.port, "INFO replication").await.unwrap_or_default();
                info.contains("master_link_status:up")
            })
            .await;
        }
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(sentinel(&name, master).await);
        }
        for (one, _) in &sentinels {
            until("the sentinels see each other", async || {
                let seen: Vec<String> = ask("", one.port, &format!("SENTINEL MASTER {name}")).await.unwrap_or_default();
                let field = |name: &str| seen.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
                [field("num-other-sentinels"), field("num-slaves")] == [Some("2".to_owned()), Some("2".to_owned())]
            })
            .await;
        }
        Self { servers, sentinels, name, login: "" }
    }

    /// From now on servers and sentinels ask for a password.
    pub(crate) async fn lock(&mut self) {
        self.login = ":p%40ss@";
        for (server, _) in &self.servers {
            for line in ["CONFIG SET masterauth p@ss", "CONFIG SET requirepass p@ss"] {
                let _: String = ask("", server.port, line).await.expect("the server is locked");
            }
        }
        let servers = format!("SENTINEL SET {} auth-pass p@ss", self.name);
        for line in [&servers, "SENTINEL CONFIG SET sentinel-pass p@ss", "ACL SETUSER default resetpass >p@ss"] {
            for (sentinel, _) in &self.sentinels {
                let _: String = ask("", sentinel.port, line).await.expect("the sentinel is locked");
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        let sentinels: Vec<_> = self.sentinels.iter().map(|(one, _)| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis+sentinel://{}{}/{}", self.login, sentinels.join(","), self.name)
    }

    async fn master(&self) -> u16 {
        let question = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {}", self.name);
        let (_, port): (String, u16) =
            ask(self.login, self.sentinels[0].0.port, &question).await.expect("a sentinel answers");
        port
    }

    /// The replicas stay, connected and silent, until [`Trio::resume_replicas`].
    pub(crate) async fn pause_replicas(&self) {
        let master = self.master().await;
        self.servers.iter().filter(|(server, _)| server.port != master).for_each(|(server, _)| server.signal("STOP"));
    }

    pub(crate) fn resume_replicas(&self) {
        self.servers.iter().for_each(|(server, _)| server.signal("CONT"));
    }

    /// Nothing more reaches the replicas of a locked trio, who may be elected all the same.
    pub(crate) async fn cut_replicas(&self) {
        let master = self.master().await;
        for (replica, _) in self.servers.iter().filter(|(server, _)| server.port != master) {
            cut(self.login, replica.port).await;
        }
        let _: usize = ask(self.login, master, "CLIENT KILL TYPE replica").await.expect("a master answers");
    }

    /// Replicas reach their master again, whoever it is by then.
    pub(crate) async fn mend_replicas(&self) {
        for (server, _) in &self.servers {
            mend(self.login, server.port).await;
        }
    }

    /// SIGKILL for the master, and for one of the sentinels.
    pub(crate) async fn kill_master(&mut self) {
        let port = self.master().await;
        let before = self.servers.len();
        self.servers.retain(|(server, _)| server.port != port);
        assert_eq!(self.servers.len(), before - 1, "the master is one of ours");
        self.sentinels.remove(0);
    }

    /// Another master is elected; the one before stays, and learns of it seconds later.
    pub(crate) async fn replace_master(&self) {
        let question = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {}", self.name);
        let named = async |sentinel: &Process| {
            ask::<(String, u16)>(self.login, sentinel.port, &question).await.expect("a sentinel answers")
        };
        let before = named(&self.sentinels[0].0).await;
        let line = format!("SENTINEL FAILOVER {}", self.name);
        let _: String = ask(self.login, self.sentinels[0].0.port, &line).await.expect("a failover");
        for (sentinel, _) in &self.sentinels {
            until("another master is named", async || named(sentinel).await != before).await;
        }
    }

    /// The master stays, and is silent: connections open and nothing answers.
    pub(crate) async fn freeze_master(&self) {
        let port = self.master().await;
        let (master, _) = self.servers.iter().find(|(server, _)| server.port == port).expect("one of ours");
        master.signal("STOP");
    }
}

async fn server(of: Option<u16>) -> (Process, TempDir) {
    let dir = tempfile::tempdir().expect("a directory for the server");
    let of = of.map(|port| port.to_string());
    let mut more = vec!["--appendonly", "no", "--repl-diskless-sync-delay", "0"];
    if let Some(port) = &of {
        more.extend(["--replicaof", "127.0.0.1", port]);
    }
    for _ in 0..20 {
        if let Some(process) = Process::start_as(dir.path(), fastrand::u16(PORTS), &more).await {
            return (process, dir);
        }
    }
    panic!("no server starts; its log: {}", std::fs::read_to_string(dir.path().join("server.log")).unwrap_or_default());
}

pub(super) async fn sentinel(name: &str, master: u16) -> (Process, TempDir) {
    let dir = tempfile::tempdir().expect("a directory for the sentinel");
    for _ in 0..20 {
        let port = fastrand::u16(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_err() {
            continue;
        }
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile {}\nsentinel monitor {name} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 5000\n",
            dir.path().display(),
            dir.path().join("sentinel.log").display(),
        );
        std::fs::write(&file, text).expect("a file for the sentinel");
        let arguments: [OsString; 2] = [file.into(), "--sentinel".into()];
        let question = format!("SENTINEL MASTER {name}");
        let is_ready = async |_: &str| ask::<Vec<String>>("", port, &question).await.is_ok();
        if let Some(process) = Process::launch(dir.path(), port, &arguments, is_ready).await {
            return (process, dir);
        }
    }
    panic!("no sentinel starts");
}
