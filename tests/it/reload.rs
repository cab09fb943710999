//! SIGHUP under load, on the real binary: connections stay, nothing is refused, and a wrong file changes nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use omni_relay::omni::signature::sign;
use omni_relay::runtime::Clock;
use omni_relay::simulator::User;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::world::{PATIENCE, Process, Setting, World, eventually, is_terminal, text};

const OLD: &str = "the-webhook-secret-of-before";
const NEW: &str = "the-webhook-secret-from-now-on";
const CHAT: &str = "[callers.chat]\nkey = \"chat-key\"\n";
const LEAVER: &str = "[callers.leaver]\nkey = \"leaver-key\"\nscopes = [\"read\"]\n";
/// Of connections that ask.
const ASKING: usize = 3;
/// Of connections that send webhooks.
const SENDING: usize = 2;

/// A connection that is kept for many requests.
struct Line {
    stream: BufReader<TcpStream>,
}

impl Line {
    async fn open(url: &str) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(url.trim_start_matches("http://")).await.unwrap()) }
    }

    /// The status and the body; `None` once the other side has closed the connection.
    async fn call(&mut self, request: &str, headers: &str, body: &str) -> Option<(u16, String)> {
        let length = body.len();
        let request =
            format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
        self.stream.write_all(request.as_bytes()).await.ok()?;
        let (mut status, mut length, mut closes) = (None, 0, false);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once(": ") {
                None if line.is_empty() => break,
                None => status = line.split(' ').nth(1).and_then(|code| code.parse().ok()),
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("connection", value)) => closes = value == "close",
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        (!closes).then_some((status?, String::from_utf8(body).unwrap()))
    }
}

/// What came of what was sent.
#[derive(Default)]
struct Load {
    enough: AtomicBool,
    /// Once it is in force, webhooks are signed with the new secret too.
    new: AtomicBool,
    /// Once it is gone, none with the old one.
    only: AtomicBool,
    webhooks: AtomicUsize,
    refused: AtomicUsize,
    closed: AtomicUsize,
}

impl Load {
    fn count(&self, answer: Option<&(u16, String)>, expected: u16) {
        match answer {
            None => self.closed.fetch_add(1, Ordering::SeqCst),
            Some((status, body)) if *status != expected => {
                println!("{status}: {body}");
                self.refused.fetch_add(1, Ordering::SeqCst)
            }
            Some(_) => return,
        };
    }

    fn goes_on(&self) -> bool {
        !self.enough.load(Ordering::SeqCst)
    }

    /// Asks one prompt after the other on one connection, and waits for each answer; answers their ids.
    async fn ask(self: Arc<Self>, url: String, number: usize) -> Vec<String> {
        let (mut line, mut asked) = (Line::open(&url).await, Vec::new());
        let user = User::new("dana", "Dana").id.to_string();
        let body = json!({"prompt": "revenue by region", "userId": user, "conversation": format!("load-{number}")});
        let headers = "Authorization: Bearer chat-key\r\nContent-Type: application/json\r\n";
        while self.goes_on() {
            let answer = line.call("POST /v1/prompts?wait=30", headers, &body.to_string()).await;
            self.count(answer.as_ref(), 200);
            let Some((_, body)) = answer else { break };
            asked.push(text(&serde_json::from_str::<Value>(&body).unwrap(), "promptId"));
        }
        asked
    }

    /// Sends webhooks that end nothing, one after the other on one connection.
    async fn send(self: Arc<Self>, url: String, clock: Clock) -> Vec<String> {
        let mut line = Line::open(&url).await;
        let mut odd = false;
        while self.goes_on() {
            odd = !odd;
            let new = self.only.load(Ordering::SeqCst) || (odd && self.new.load(Ordering::SeqCst));
            let (job, event) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
            let body = json!({"eventId": event, "type": "job.noticed", "jobId": job}).to_string();
            let at = clock.now().as_second().to_string();
            let signature = sign(&(if new { NEW } else { OLD }).into(), &at, body.as_bytes());
            let headers = format!("X-Omni-Signature-Timestamp: {at}\r\nX-Omni-Signature: {signature}\r\n");
            let answer = line.call("POST /webhooks/omni", &headers, &body).await;
            self.count(answer.as_ref(), 200);
            if answer.is_none() {
                break;
            }
            self.webhooks.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Vec::new()
    }
}

/// Reads a conversation until the stream ends; answers who did, and how many answers there were.
async fn read(url: String, who: &'static str, shown: String) -> (&'static str, usize) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let request = format!(
        "GET /v1/conversations/load-0/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {shown}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next_line().await.unwrap().is_some_and(|line| line.contains(" 200 ")), "{who} may not read");
    let mut answers = 0;
    // The connection stays: the stream is over with its last chunk.
    while let Some(line) = lines.next_line().await.unwrap().filter(|line| line != "0") {
        answers += usize::from(line == "event: omni.answer");
    }
    (who, answers)
}

/// The binary before its two files.
struct Bed {
    world: World,
    process: Process,
    dir: TempDir,
    load: Arc<Load>,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secrets = dir.path().join("webhook.secrets");
        std::fs::write(&secrets, OLD).unwrap();
        let file = secrets.to_str().unwrap().to_owned();
        let setting = Setting {
            jobs: Duration::from_millis(200)..=Duration::from_millis(900),
            ..Setting::config(move |mut sources| {
                sources.env.remove("OMNI_RELAY__WEBHOOK__SECRETS");
                let sources = sources.with("webhook.secrets_file", file.as_str());
                sources.with("tokens.secrets", "a secret of at least thirty-two bytes")
            })
        };
        let mut world = World::with(setting).await;
        let _ = world.stop().await;
        configure(dir.path(), &format!("{CHAT}{LEAVER}"));
        let file = dir.path().join("relay.toml");
        let process = Process::start(&world, &[("OMNI_RELAY_CONFIG", file.to_str().unwrap())]).await;
        Self { world, process, dir, load: Arc::default() }
    }

    /// Writes the files, and has them read.
    fn reload(&self, file: &str, secrets: &str) {
        configure(self.dir.path(), file);
        std::fs::write(self.dir.path().join("webhook.secrets"), secrets).unwrap();
        self.process.signal("HUP");
    }

    fn taken(&self, file: &str, secrets: &str) {
        self.reload(file, secrets);
        let line = self.process.says("reload");
        assert!(line.contains("configuration reloaded"), "{line}");
    }

    /// The line must name these, and hold no value.
    fn refused(&self, file: &str, secrets: &str, names: &[&str]) {
        self.reload(file, secrets);
        let line = self.process.says("reload");
        assert!(line.contains("reload refused") && line.contains("\"level\":\"ERROR\""), "{line}");
        assert!(names.iter().all(|name| line.contains(name)), "{names:?} are not in {line}");
        assert!(!line.contains("thirteen"), "{line}");
    }

    /// Until so many more jobs have been created and ended.
    async fn goes_on(&self) {
        let before = self.world.sim.jobs().len();
        eventually("prompts go on", async || (self.world.sim.jobs().len() >= before + 6).then_some(())).await;
        eventually("what was asked before is answered", async || {
            let ended = |job: &omni_relay::simulator::JobView| job.last_delivery.is_some();
            self.world.sim.jobs().iter().take(before + 3).all(ended).then_some(())
        })
        .await;
    }

    async fn token(&self) -> String {
        let request = self.world.http.post(format!("{}/v1/conversations/load-0/token", self.world.url));
        let minted = eventually("the conversation is there", async || {
            let answer = request.try_clone().unwrap().bearer_auth("chat-key").send().await.unwrap();
            (answer.status() == 200).then_some(answer)
        });
        text(&minted.await.json().await.unwrap(), "token")
    }
}

fn configure(dir: &Path, text: &str) {
    std::fs::write(dir.join("relay.toml"), text).unwrap();
}

/// Every prompt that was asked has one terminal entry, and each of its job's webhooks was taken at once.
async fn once(world: &World, asked: &[Vec<String>]) -> usize {
    for (number, ids) in asked.iter().enumerate() {
        for id in ids {
            let asked = crate::world::Asked { id: id.clone(), conversation: format!("load-{number}") };
            world.eventually_answered(&asked).await;
        }
        let entries = world.entries(&format!("load-{number}")).await;
        let mut ended: Vec<String> =
            entries.iter().filter(|entry| is_terminal(entry)).map(|entry| text(&entry["data"], "promptId")).collect();
        ended.sort();
        let mut ids = ids.clone();
        ids.sort();
        assert_eq!(ended, ids, "every prompt ends once");
    }
    let jobs = world.sim.jobs();
    let refused = jobs.iter().filter(|job| job.last_delivery != Some(200) || job.deliveries != 1).count();
    assert_eq!((jobs.len(), refused), (asked.iter().map(Vec::len).sum(), 0), "a webhook of omni's was refused");
    jobs.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_a_reload_closes_and_refuses_nothing() {
    let mut bed = Bed::new().await;
    let url = bed.world.url.clone();
    let mut loads = JoinSet::new();
    for number in 0..ASKING {
        let load = bed.load.clone().ask(url.clone(), number);
        loads.spawn(async move { (number, load.await) });
    }
    for number in 0..SENDING {
        let load = bed.load.clone().send(url.clone(), bed.world.clock.clone());
        loads.spawn(async move { (ASKING + number, load.await) });
    }
    let token = bed.token().await;
    let mut readers = JoinSet::new();
    for (who, shown) in [("chat", "chat-key"), ("browser", token.as_str()), ("leaver", "leaver-key")] {
        readers.spawn(read(url.clone(), who, shown.to_owned()));
    }
    bed.goes_on().await;
    let all = format!("{CHAT}{LEAVER}");

    bed.taken(&all, &format!("{NEW}\n{OLD}\n"));
    bed.load.new.store(true, Ordering::SeqCst);
    bed.goes_on().await;
    bed.refused(&all, "\n", &["webhook.secrets"]);
    let wrong = "[jobs]\ndeadline = \"thirteen\"\n[backlog]\nprompts = 0\n";
    bed.refused(&format!("{wrong}{CHAT}"), NEW, &["jobs.deadline", "backlog.prompts", "relay.toml:2"]);
    bed.refused(&format!("[log]\nformat = \"pretty\"\n{CHAT}"), NEW, &["log.format"]);
    assert!(readers.try_join_next().is_none(), "what was refused has changed something");
    bed.goes_on().await;
    bed.load.only.store(true, Ordering::SeqCst);
    bed.goes_on().await;

    bed.taken(&format!("[log]\nlevel = \"debug\"\n{CHAT}"), NEW);
    let (who, _) = timeout(PATIENCE, readers.join_next()).await.expect("a stream ends").unwrap().unwrap();
    assert_eq!(who, "leaver");
    bed.goes_on().await;
    bed.process.says("\"level\":\"DEBUG\"");
    bed.load.enough.store(true, Ordering::SeqCst);
    let mut asked = loads.join_all().await;
    asked.sort();
    let asked: Vec<Vec<String>> = asked.into_iter().take(ASKING).map(|(_, ids)| ids).collect();
    let prompts = once(&bed.world, &asked).await;
    let answers = asked[0].len();
    let metrics = bed.world.get("/metrics").await.text().await.unwrap();
    for count in ["{outcome=\"taken\"} 2", "{outcome=\"refused\"} 3"] {
        assert!(metrics.contains(&format!("omni_relay_reloads_total{count}")), "{metrics}");
    }
    assert!(readers.try_join_next().is_none(), "a stream was closed");
    bed.process.signal("TERM");
    let mut read = readers.join_all().await;
    read.sort_unstable();
    assert_eq!(read, [("browser", answers), ("chat", answers)]);
    let end = eventually("the process ends", async || bed.process.has_ended()).await;
    assert!(end.success(), "{end}");
    let (refused, closed) = (bed.load.refused.load(Ordering::SeqCst), bed.load.closed.load(Ordering::SeqCst));
    let webhooks = prompts + bed.load.webhooks.load(Ordering::SeqCst);
    println!("reload: {webhooks} webhooks, {prompts} prompts; {refused} refused, {closed} connections closed");
    assert_eq!((refused, closed), (0, 0));
}
