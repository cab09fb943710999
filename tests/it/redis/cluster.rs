//! A Cluster: three masters, each with as many replicas.

use std::net::TcpListener;

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use super::process::Process;
use super::server::{ask, connect, cut, mend, until, url_of};

/// Ports of nodes; each also has the one ten thousand above.
const PORTS: std::ops::Range<u16> = 20_000..22_000;
const SLOTS: u16 = 16_384;

/// Processes of one test. A node that is silent for two seconds is replaced.
pub(crate) struct Cluster {
    nodes: Vec<(Process, TempDir)>,
    login: &'static str,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(1).await
    }

    /// With this many replicas for each master.
    pub(crate) async fn start_with(replicas: usize) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 * (1 + replicas) {
            nodes.push(node().await);
        }
        let ports: Vec<u16> = nodes.iter().map(|(node, _)| node.port).collect();
        for (epoch, port) in (1..).zip(&ports) {
            let _: String = ask("", *port, &format!("CLUSTER SET-CONFIG-EPOCH {epoch}")).await.expect("a new node");
        }
        for (turn, port) in (0..3).zip(&ports) {
            let (first, last) = (SLOTS / 3 * turn, if turn == 2 { SLOTS } else { SLOTS / 3 * (turn + 1) });
            let slots: Vec<String> = (first..last).map(|slot| slot.to_string()).collect();
            let _: String = ask("", *port, &format!("CLUSTER ADDSLOTS {}", slots.join(" "))).await.expect("free slots");
        }
        for port in &ports[1..] {
            let _: String = ask("", ports[0], &format!("CLUSTER MEET 127.0.0.1 {port}")).await.expect("a node to meet");
        }
        for (master, replica) in ports[..3].iter().cycle().zip(&ports[3..]) {
            let id: String = ask("", *master, "CLUSTER MYID").await.expect("a name");
            let follow = format!("CLUSTER REPLICATE {id}");
            until("the replica knows its master", async || ask::<String>("", *replica, &follow).await.is_ok()).await;
        }
        for port in &ports {
            until("every node agrees", async || {
                let state: String = ask("", *port, "CLUSTER INFO").await.unwrap_or_default();
                let nodes: String = ask("", *port, "CLUSTER NODES").await.unwrap_or_default();
                state.contains("cluster_state:ok") && nodes.matches("slave").count() == 3 * replicas
            })
            .await;
        }
        for port in &ports[3..] {
            until("the replica follows", async || {
                let info: String = ask("", *port, "INFO replication").await.unwrap_or_default();
                info.contains("master_link_status:up")
            })
            .await;
        }
        Self { nodes, login: "" }
    }

    /// From now on every node asks for a password.
    pub(crate) async fn lock(&mut self) {
        self.login = ":p%40ss@";
        for (node, _) in &self.nodes {
            for line in ["CONFIG SET masterauth p@ss", "CONFIG SET requirepass p@ss"] {
                let _: String = ask("", node.port, line).await.expect("the node is locked");
            }
        }
    }

    /// Names two of the nodes; the others are to be found.
    pub(crate) fn url(&self) -> String {
        let (one, other) = (self.nodes[0].0.port, self.nodes[4].0.port);
        format!("redis+cluster://{}127.0.0.1:{one},127.0.0.1:{other}", self.login)
    }

    /// A connection to each of the masters that it began with.
    pub(crate) async fn masters(&self) -> Vec<MultiplexedConnection> {
        let mut masters = Vec::new();
        for (node, _) in &self.nodes[..3] {
            masters.push(connect(&url_of(node.port)).await.expect("a master answers"));
        }
        masters
    }

    /// Nothing more reaches the replicas of a locked Cluster, who may be elected all the same.
    pub(crate) async fn cut_replicas(&self) {
        let mut masters = Vec::new();
        for (node, _) in &self.nodes {
            let info: String = ask(self.login, node.port, "INFO replication").await.expect("a node answers");
            if info.contains("role:master") {
                masters.push(node.port);
            } else {
                cut(self.login, node.port).await;
            }
        }
        for master in masters {
            let _: usize = ask(self.login, master, "CLIENT KILL TYPE replica").await.expect("a master answers");
        }
    }

    /// Replicas reach their masters again.
    pub(crate) async fn mend_replicas(&self) {
        for (node, _) in &self.nodes {
            mend(self.login, node.port).await;
        }
    }

    /// SIGKILL for the master that holds a key.
    pub(crate) async fn kill_master_of(&mut self, key: &str) {
        let port = self.master_of(key).await;
        self.nodes.retain(|(node, _)| node.port != port);
    }

    /// A replica takes over from the master that holds a key, which stays.
    pub(crate) async fn replace_master_of(&self, key: &str) {
        let master = self.master_of(key).await;
        for (node, _) in &self.nodes {
            let info: String = ask(self.login, node.port, "INFO replication").await.expect("a node answers");
            if info.contains(&format!("master_port:{master}\r")) {
                let _: String = ask(self.login, node.port, "CLUSTER FAILOVER").await.expect("a failover");
            }
        }
        until("another master is known", async || self.master_of(key).await != master).await;
    }

    /// The slot of a key, which holds nothing, goes to the master that holds the other one.
    pub(crate) async fn move_slot(&self, key: &str, other: &str) {
        let (from, to) = (self.master_of(key).await, self.master_of(other).await);
        let slot: u16 = ask(self.login, from, &format!("CLUSTER KEYSLOT {key}")).await.expect("a slot");
        let id = async |port| ask::<String>(self.login, port, "CLUSTER MYID").await.expect("a name");
        let (source, target) = (id(from).await, id(to).await);
        let words = [
            (to, format!("IMPORTING {source}")),
            (from, format!("MIGRATING {target}")),
            (to, format!("NODE {target}")),
        ];
        for (port, word) in words.into_iter().chain([(from, format!("NODE {target}"))]) {
            let _: String = ask(self.login, port, &format!("CLUSTER SETSLOT {slot} {word}")).await.expect("a move");
        }
    }

    /// The master that holds a key stays, and is silent.
    pub(crate) async fn freeze_master_of(&self, key: &str) {
        let port = self.master_of(key).await;
        let (node, _) = self.nodes.iter().find(|(node, _)| node.port == port).expect("one of ours");
        node.signal("STOP");
    }

    async fn master_of(&self, key: &str) -> u16 {
        let asked = self.nodes[0].0.port;
        let slot: u16 = ask(self.login, asked, &format!("CLUSTER KEYSLOT {key}")).await.expect("a slot");
        let ranges: Vec<redis::Value> = ask(self.login, asked, "CLUSTER SLOTS").await.expect("a map");
        for range in ranges {
            let redis::Value::Array(parts) = range else { panic!("a range is an array") };
            let [redis::Value::Int(first), redis::Value::Int(last), redis::Value::Array(master), ..] = parts.as_slice()
            else {
                panic!("a range has a master")
            };
            if (*first..=*last).contains(&i64::from(slot)) {
                let redis::Value::Int(port) = master[1] else { panic!("a master has a port") };
                return u16::try_from(port).expect("a port");
            }
        }
        panic!("nobody holds slot {slot}");
    }
}

async fn node() -> (Process, TempDir) {
    let dir = tempfile::tempdir().expect("a directory for the node");
    let more = ["--appendonly", "no", "--repl-diskless-sync-delay", "0", "--cluster-enabled", "yes"];
    let more = [more.as_slice(), &["--cluster-node-timeout", "2000"]].concat();
    for _ in 0..40 {
        let port = fastrand::u16(PORTS);
        if [port, port + 10_000].iter().any(|port| TcpListener::bind(("127.0.0.1", *port)).is_err()) {
            continue;
        }
        if let Some(process) = Process::start_as(dir.path(), port, &more).await {
            return (process, dir);
        }
    }
    panic!("no node starts; its log: {}", std::fs::read_to_string(dir.path().join("server.log")).unwrap_or_default());
}
