//! Many readers, on the real binary: what they cost, how soon the last one has read, and that breaks lose nothing.
//! The measurements: `cargo test --release --all-features --test it -- --ignored --nocapture readers::`

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::world::{Process, World};

const PATIENCE: Duration = Duration::from_mins(1);

/// The relay as a process of its own, and a pen for its conversations.
struct Crowd {
    world: World,
    process: Process,
    redis: redis::aio::MultiplexedConnection,
}

impl Crowd {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[(&str, &str)]) -> Self {
        let mut world = World::new().await;
        let _ = world.stop().await;
        let process = Process::start(&world, more).await;
        let client = redis::Client::open(world.redis_url.as_str()).unwrap();
        let redis = client.get_multiplexed_async_connection().await.unwrap();
        Self { world, process, redis }
    }

    /// Writes an entry with so many bytes of text as the relay would, and wakes its readers; the entry's id.
    async fn write(&self, conversation: &str, bytes: usize) -> String {
        let data = format!(r#"{{"promptId":"x","message":"{}"}}"#, "x".repeat(bytes));
        let mut pipe = redis::pipe();
        pipe.cmd("XADD").arg(format!("{}:conversation:{{{conversation}}}", self.world.namespace)).arg("*");
        for field in ["specversion", "1.0", "id", "x:omni.answer", "source", "/x", "type", "omni.answer"] {
            pipe.arg(field);
        }
        pipe.arg("subject").arg(conversation).arg("data").arg(data);
        pipe.cmd("PUBLISH").arg(format!("{}:wake", self.world.namespace)).arg(conversation).ignore();
        let (id,): (String,) = pipe.query_async(&mut self.redis.clone()).await.unwrap();
        id
    }

    /// Connections of everybody to Redis.
    async fn connections(&self) -> usize {
        let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut self.redis.clone()).await.unwrap();
        list.lines().count()
    }

    /// What the relay has of the machine's memory, in KiB.
    fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Knows just enough of HTTP to find the ids in a stream of events.
struct Reader(BufReader<TcpStream>);

impl Reader {
    async fn open(url: &str, conversation: &str, after: &str) -> Self {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        let path = format!("/v1/conversations/{conversation}/events");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {after}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::with_capacity(1024, stream))
    }

    /// The next entry's id.
    async fn next(&mut self) -> String {
        self.line("id: ").await
    }

    /// What follows `start` on the next line that starts so.
    async fn line(&mut self, start: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("in time").unwrap();
            assert!(read > 0 && !line.starts_with("event: gap"), "the stream ended, or has a gap");
            assert!(!line.starts_with("HTTP/") || line.contains(" 200 "), "{line}");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim_end().to_owned();
            }
        }
    }
}

/// `readers` in all, evenly over the conversations. Prints what they cost, and how long an entry takes to each of one's.
async fn measure(readers: usize, conversations: usize) {
    let crowd = Crowd::new().await;
    let mut names = Vec::new();
    for number in 0..conversations {
        names.push((format!("crowd-{number}"), crowd.write(&format!("crowd-{number}"), 200).await));
    }
    Reader::open(&crowd.world.url, "crowd-0", "0").await.next().await;
    let before = (crowd.connections().await, crowd.memory());
    let mut open = Vec::new();
    for number in 0..readers {
        let (name, first) = &names[number % conversations];
        let mut reader = Reader::open(&crowd.world.url, name, "0").await;
        assert_eq!(reader.next().await, *first);
        open.push(reader);
    }
    let after = (crowd.connections().await, crowd.memory());
    println!(
        "{readers} readers of {conversations} conversations: {} more connections to Redis ({} in all), {} KiB more memory a reader",
        after.0 - before.0,
        after.0,
        (after.1 - before.1) / readers
    );
    let (arrivals, mut arrived) = unbounded_channel();
    let mut reading = JoinSet::new();
    for mut reader in open {
        let arrivals = arrivals.clone();
        reading.spawn(async move {
            loop {
                let id = reader.next().await;
                if arrivals.send((id, Instant::now())).is_err() {
                    return;
                }
            }
        });
    }
    let mut times = Vec::new();
    for _ in 0..10 {
        let sent = Instant::now();
        let id = crowd.write("crowd-0", 1500).await;
        let mut each = Vec::new();
        while each.len() < readers / conversations {
            let (seen, at) = timeout(PATIENCE, arrived.recv()).await.expect("in time").unwrap();
            assert_eq!(seen, id);
            each.push(at - sent);
        }
        each.sort();
        times.push((each[each.len() - 1], each[each.len() / 2]));
    }
    times.sort();
    let (last, median) = times[times.len() / 2];
    println!(
        "an entry of 1.5 KB was with half of its readers after {median:?}, with the last after {last:?} (worst of ten: {:?})",
        times[9].0
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, and needs twenty thousand open files"]
async fn ten_thousand_readers_of_one_conversation() {
    measure(10_000, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, and needs twenty thousand open files"]
async fn ten_thousand_readers_of_a_thousand_conversations() {
    measure(10_000, 1_000).await;
}

/// Readers break off after every few entries and go on with the last id they saw, as browsers do, while entries are written.
async fn break_off(readers: usize, entries: usize) {
    let crowd = Crowd::new().await;
    let first = crowd.write("crowd", 10).await;
    let mut reading = JoinSet::new();
    for number in 0..readers {
        let (url, first) = (crowd.world.url.clone(), first.clone());
        reading.spawn(async move {
            let (mut seen, mut breaks) = (vec![first], 0);
            while seen.len() < entries {
                let mut reader = Reader::open(&url, "crowd", &seen[seen.len() - 1]).await;
                for _ in 0..(entries - seen.len()).min(20 + number % 50) {
                    seen.push(reader.next().await);
                }
                breaks += 1;
            }
            (seen, breaks)
        });
    }
    let mut written = vec![first];
    while written.len() < entries {
        written.push(crowd.write("crowd", 300).await);
    }
    let mut breaks = 0;
    for (seen, broken) in reading.join_all().await {
        assert_eq!(seen, written);
        breaks += broken;
    }
    println!("{readers} readers saw each of {entries} entries once and in order, and came back {breaks} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_break_off_lose_and_repeat_nothing() {
    break_off(50, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn five_hundred_readers_that_break_off_lose_and_repeat_nothing() {
    break_off(500, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_comes_when_nothing_else_came_for_a_while() {
    // A while is half a second here.
    let crowd = Crowd::with(&[("OMNI_RELAY_HASTE", "30")]).await;
    let first = crowd.write("crowd", 10).await;
    let mut reader = Reader::open(&crowd.world.url, "crowd", "0").await;
    assert_eq!(reader.next().await, first);
    for _ in 0..3 {
        reader.line(":").await;
        // Amid the while.
        sleep(Duration::from_millis(250)).await;
        let since = Instant::now();
        let id = crowd.write("crowd", 10).await;
        assert_eq!(reader.next().await, id);
        reader.line(":").await;
        assert!(since.elapsed() >= Duration::from_millis(500), "an entry shows too that the connection lives");
    }
}
