//! Conversations as server-sent events.

use jiff::Timestamp;
use omni_relay::model::entry::About;
use omni_relay::model::{Conversation, Entry, EntryType, PromptId};
use omni_relay::simulator::Behaviour;
use omni_relay::store::Store;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::sse::{Events, Frame};
use super::{Relay, problem};
use crate::redis::TestRedis;

const URL: &str = "/v1/conversations/t-1/events";

pub(super) async fn publish(store: &Store) -> String {
    publish_with(store, &json!({})).await
}

#[expect(clippy::disallowed_methods, reason = "the entry's time does not matter here")]
pub(super) async fn publish_with(store: &Store, metadata: &Value) -> String {
    let conversation = Conversation::from_full("t-1").unwrap();
    let about = About {
        namespace: "test",
        prompt_id: PromptId::new(Timestamp::now()),
        conversation: &conversation,
        job_id: None,
        conversation_id: None,
        chat_url: None,
        metadata: metadata.as_object(),
    };
    let mut data = about.data();
    data.put("message", "");
    data.put("partial", &false);
    let entry = Entry::new(EntryType::Answer, &about, Timestamp::now(), &data);
    store.publish(about.prompt_id, &entry, None).await.unwrap().entry
}

fn ids(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.id.as_str()).collect()
}

#[tokio::test]
async fn a_conversation_is_read_from_its_beginning_and_goes_on() {
    let relay = Relay::start().await;
    let first = relay.answered("t-1").await;
    let mut events = Events::open(relay.get(URL)).await;
    let frames = events.take(3).await;
    let types: Vec<&str> = frames.iter().map(|frame| frame.event.as_str()).collect();
    assert_eq!(types, ["omni.prompt.accepted", "omni.job.submitted", "omni.answer"]);
    assert_eq!(frames[2].data, first["entry"]);
    assert!(frames.iter().all(|frame| frame.data["specversion"] == "1.0" && frame.data["subject"] == "t-1"));

    let second = relay.answered("t-1").await;
    let frames = events.take(3).await;
    assert_eq!(frames[2].data, second["entry"]);
    let omnis = format!("/v1/conversations/{}/events", first["conversationId"].as_str().unwrap());
    let mut alias = Events::open(relay.get(&omnis)).await;
    assert_eq!(alias.take(6).await[2].data, first["entry"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was() {
    let relay = Relay::start().await;
    let mut written = Vec::new();
    for _ in 0..5 {
        written.push(publish(&relay.app.store).await);
    }
    let mut by_header = Events::open(relay.get(URL).header("Last-Event-ID", &written[1])).await;
    assert_eq!(ids(&by_header.take(3).await), written[2..]);
    let mut by_query = Events::open(relay.get(&format!("{URL}?from={}", written[3]))).await;
    assert_eq!(ids(&by_query.take(1).await), written[4..]);
    let mut both = Events::open(relay.get(&format!("{URL}?from=0")).header("Last-Event-ID", &written[3])).await;
    assert_eq!(ids(&both.take(1).await), written[4..], "what the browser saw goes before the address it was given");
    let mut all = Events::open(relay.get(&format!("{URL}?from=0"))).await;
    assert_eq!(ids(&all.take(5).await), written);
    relay.stop().await;
}

#[tokio::test]
async fn only_what_is_new_and_no_less_after_a_break() {
    let relay = Relay::start().await;
    let old = publish(&relay.app.store).await;
    let mut events = Events::open(relay.get(&format!("{URL}?from=$"))).await;
    let new = publish(&relay.app.store).await;
    assert_eq!(ids(&events.take(1).await), [new.as_str()]);

    let mut broken = Events::open(relay.get(&format!("{URL}?from=$"))).await;
    let seen = broken.position().await;
    assert_eq!(seen, new, "a position before any event");
    drop(broken);
    let missed = publish(&relay.app.store).await;
    let mut resumed = Events::open(relay.get(&format!("{URL}?from=$")).header("Last-Event-ID", seen)).await;
    assert_eq!(ids(&resumed.take(1).await), [missed.as_str()]);
    let mut again = Events::open(relay.get(&format!("{URL}?from=$")).header("Last-Event-ID", &old)).await;
    assert_eq!(ids(&again.take(2).await), [new, missed]);
    relay.stop().await;
}

#[tokio::test]
async fn a_position_that_is_none_is_told() {
    let relay = Relay::start().await;
    publish(&relay.app.store).await;
    for wrong in ["x", "1-", "-1", "1-2-3", "18446744073709551616", "18446744073709551615-18446744073709551615"] {
        let by_header = relay.get(URL).header("Last-Event-ID", wrong).send().await.unwrap();
        assert_eq!(problem(by_header, 400).await["code"], "invalid_position", "{wrong}");
        let by_query = relay.get(&format!("{URL}?from={wrong}")).send().await.unwrap();
        assert_eq!(problem(by_query, 400).await["code"], "invalid_position", "{wrong}");
    }
    for unknown in ["t-2", "a%20b", "acme%2Ft-1", "55555555-5555-4555-8555-555555555555"] {
        let answer = relay.get(&format!("/v1/conversations/{unknown}/events")).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "conversation_not_found", "{unknown}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_trimmed_history_does_not_look_like_a_whole_one() {
    let relay = Relay::start().await;
    relay.answered("t-1").await;
    let mut written = Vec::new();
    for _ in 0..6 {
        written.push(publish(&relay.app.store).await);
    }
    let stream = format!("{}:conversation:{{t-1}}", relay.namespace);
    let mut redis = relay.redis().await;
    let trimmed: usize =
        redis::cmd("XTRIM").arg(&stream).arg("MINID").arg(&written[3]).query_async(&mut redis).await.unwrap();
    assert_eq!(trimmed, 3 + 3);

    let mut late = Events::open(relay.get(URL).header("Last-Event-ID", &written[0])).await;
    let frames = late.take(4).await;
    assert_eq!(frames[0].event, "gap");
    assert_eq!(frames[0].data, json!({"from": written[0], "to": written[3]}));
    assert_eq!(ids(&frames[1..]), written[3..]);
    let mut whole = Events::open(relay.get(URL).header("Last-Event-ID", &written[3])).await;
    assert_eq!(ids(&whole.take(2).await), written[4..], "nothing was lost after an entry that is kept");
    let mut beginning = Events::open(relay.get(URL)).await;
    assert_eq!(ids(&beginning.take(3).await), written[3..], "the beginning of what is kept is no gap");

    let _: usize = redis::cmd("XTRIM").arg(&stream).arg("MAXLEN").arg(0).query_async(&mut redis).await.unwrap();
    let mut kept = Events::open(relay.get(URL).header("Last-Event-ID", &written[4])).await;
    assert_eq!(ids(&kept.take(1).await), written[5..], "what others read here is not lost");
    let other = Relay::on(&relay.redis_url, &relay.namespace, |sources| sources).await;
    let mut emptied = Events::open(other.get(URL).header("Last-Event-ID", &written[4])).await;
    let next = publish(&relay.app.store).await;
    let frames = emptied.take(2).await;
    assert_eq!((frames[0].event.as_str(), &frames[0].data), ("gap", &json!({"from": written[4], "to": next})));
    assert_eq!(ids(&frames[1..]), [next.as_str()]);
    other.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_prompt_it_was_asked_for() {
    let relay = Relay::start().await;
    let (first, second) = (relay.answered("t-1").await, relay.answered("t-1").await);
    let until = |object: &Value| format!("{URL}?until={}", object["promptId"].as_str().unwrap());
    let mut events = Events::open(relay.get(&until(&first))).await;
    let last = events.answer().await;
    assert_eq!(last.data, first["entry"]);
    assert_eq!(events.next().await, None);
    let seen = relay.get(&until(&first)).header("Last-Event-ID", &last.id).send().await.unwrap();
    assert_eq!((seen.status().as_u16(), seen.bytes().await.unwrap().len()), (204, 0), "a browser stops coming back");
    let nothing_new = relay.get(&format!("{}&from=$", until(&first))).send().await.unwrap();
    assert_eq!(nothing_new.status(), 204, "it would be waited for in vain");
    let mut rest = Events::open(relay.get(&until(&second)).header("Last-Event-ID", &last.id)).await;
    assert_eq!(rest.answer().await.data, second["entry"]);
    assert_eq!(rest.next().await, None);

    relay.sim.next_job(Behaviour::new().held());
    let asked = relay.ask(&super::question(&json!({"conversation": "t-1"}))).send().await.unwrap();
    let third: Value = asked.json().await.unwrap();
    let mut waiting = Events::open(relay.get(&until(&third))).await;
    waiting.take(8).await;
    let job =
        super::eventually("the job runs", || async { relay.sim.jobs().into_iter().find(|job| !job.state.is_final()) })
            .await;
    relay.sim.release(job.id);
    assert_eq!(waiting.take(1).await[0].event, "omni.answer");
    assert_eq!(waiting.next().await, None);

    // Its last entry is not kept any more: the stream ends at what is behind it.
    let stream = format!("{}:conversation:{{t-1}}", relay.namespace);
    let mut redis = relay.redis().await;
    let _: usize = redis::cmd("XDEL").arg(&stream).arg(&last.id).query_async(&mut redis).await.unwrap();
    let mut trimmed = Events::open(relay.get(&until(&first))).await;
    trimmed.take(3).await;
    assert_eq!(trimmed.next().await, None);

    for unknown in ["22222222-2222-4222-8222-222222222222", relay.answered("t-2").await["promptId"].as_str().unwrap()] {
        let answer = relay.get(&format!("{URL}?until={unknown}")).send().await.unwrap();
        assert_eq!(problem(answer, 404).await["code"], "prompt_not_found");
    }
    for wrong in ["until=x", "until=", "unitl=1", "from=0&from=0"] {
        let answer = relay.get(&format!("{URL}?{wrong}")).send().await.unwrap();
        assert!([400, 422].contains(&answer.status().as_u16()), "{wrong}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn many_readers_are_one_to_redis() {
    const READERS: usize = 200;
    let redis = TestRedis::private().await;
    let relay = Relay::on(&redis.url(), "test", |sources| sources).await;
    super::eventually("redis answers", || async { relay.get("/readyz").send().await.ok() }).await;
    publish(&relay.app.store).await;
    let mut connection = relay.redis().await;
    let reads = async |connection: &mut redis::aio::MultiplexedConnection| {
        let stats: String = redis::cmd("INFO").arg("commandstats").query_async(connection).await.unwrap();
        let calls = |command: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            line.map_or(0, |line| line.split(',').next().unwrap().parse::<usize>().unwrap())
        };
        calls("xrange") + calls("xrevrange") + calls("xread")
    };
    let before = reads(&mut connection).await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut events = Events::open(relay.get(URL)).await;
        events.take(1).await;
        readers.push(events);
    }
    let read = reads(&mut connection).await - before;
    assert!(read < READERS / 10, "{read} reads for {READERS} readers from the beginning on");
    let before = reads(&mut connection).await;
    let written = publish(&relay.app.store).await;
    for events in &mut readers {
        assert_eq!(ids(&events.take(1).await), [written.as_str()]);
    }
    let read = reads(&mut connection).await - before;
    assert!(read < READERS / 10, "{read} reads for one entry and {READERS} readers");
    relay.stop().await;
}

#[tokio::test]
async fn a_reader_that_falls_behind_misses_nothing() {
    let relay = Relay::start().await;
    let mut written = vec![publish(&relay.app.store).await];
    let mut slow = Events::open(relay.get(URL)).await;
    // More than the sockets and the window hold together.
    let metadata = json!({"filler": "x".repeat(60_000)});
    for _ in 0..600 {
        written.push(publish_with(&relay.app.store, &metadata).await);
    }
    let mut quick = Events::open(relay.get(&format!("{URL}?from={}", written[599]))).await;
    assert_eq!(ids(&quick.take(1).await), [written[600].as_str()]);
    assert_eq!(ids(&slow.take(601).await), written);
    relay.stop().await;
}

#[tokio::test]
async fn readers_and_writers_at_once_lose_and_repeat_nothing() {
    const WRITERS: usize = 4;
    const EACH: usize = 100;
    let relay = Relay::start().await;
    publish(&relay.app.store).await;
    let mut tasks = JoinSet::new();
    for _ in 0..WRITERS {
        let store = relay.app.store.clone();
        tasks.spawn(async move {
            for _ in 0..EACH {
                publish(&store).await;
            }
            Vec::new()
        });
    }
    for reader in 0..6 {
        // Readers that break off every so often and go on as a browser would.
        let open: Vec<_> = (0..100).map(|_| relay.get(URL)).collect();
        tasks.spawn(async move {
            let mut seen = Vec::new();
            let mut last = "0".to_owned();
            for request in open {
                let mut events = Events::open(request.header("Last-Event-ID", &last)).await;
                let wanted = (1 + WRITERS * EACH - seen.len()).min(7 + reader * 13);
                seen.extend(events.take(wanted).await.into_iter().map(|frame| frame.id));
                last = events.last_id;
                if seen.len() > WRITERS * EACH {
                    break;
                }
            }
            seen
        });
    }
    let read = tasks.join_all().await;
    let kept = relay.app.store.entries(&Conversation::from_full("t-1").unwrap(), "0", 1000).await.unwrap();
    let kept: Vec<String> = kept.into_iter().map(|entry| entry.id).collect();
    let read: Vec<_> = read.into_iter().filter(|seen| !seen.is_empty()).collect();
    assert_eq!(read.len(), 6);
    for seen in read {
        assert_eq!(seen, kept);
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_reader_outlives_redis() {
    let mut redis = TestRedis::private().await;
    let relay = Relay::on(&redis.url(), "test", |sources| sources).await;
    let first = super::eventually("redis answers", || async { relay.get("/readyz").send().await.ok() }).await;
    assert!(first.status() == 200 || first.status() == 503);
    publish(&relay.app.store).await;
    let mut events = Events::open(relay.get(URL).timeout(std::time::Duration::from_secs(30))).await;
    events.take(1).await;
    redis.stop().await;
    super::eventually("the relay is not ready", || async {
        (relay.get("/readyz").send().await.unwrap().status() == 503).then_some(())
    })
    .await;
    let answer = relay.get(&URL.replace("t-1", "t-2")).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(problem(answer, 503).await["code"], "unavailable");
    // Who comes while others read waits as they do.
    let mut late = Events::open(relay.get(URL).timeout(std::time::Duration::from_secs(30))).await;
    late.take(1).await;
    let answer = relay.ask(&super::question(&json!({}))).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "2");
    problem(answer, 503).await;
    let batch = json!({"prompts": [{}, super::question(&json!({})), super::question(&json!({}))]}).to_string();
    let answer = relay.post("/v1/prompts:batch", batch).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "2");
    problem(answer, 503).await;
    let answer = super::webhooks::signed(&relay, &json!({"eventId": "e-1"}).to_string()).send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "2");
    problem(answer, 503).await;
    assert_eq!(relay.get("/livez").send().await.unwrap().status(), 200);
    redis.start_again().await;
    super::eventually("the relay is ready", || async {
        (relay.get("/readyz").send().await.unwrap().status() == 200).then_some(())
    })
    .await;
    let written = publish(&relay.app.store).await;
    assert_eq!(ids(&events.take(1).await), [written.as_str()]);
    assert_eq!(ids(&late.take(1).await), [written]);
    relay.stop().await;
}

#[tokio::test]
async fn a_stop_ends_the_stream_cleanly() {
    let relay = Relay::start().await;
    let object: Value = relay.answered("t-1").await;
    assert_eq!(object["phase"], "answered");
    let mut events = Events::open(relay.get(URL)).await;
    events.take(3).await;
    relay.lifecycle.request_stop();
    assert_eq!(events.next().await, None);
    relay.stop().await;
}
