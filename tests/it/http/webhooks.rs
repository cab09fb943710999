//! Webhooks: what is signed is stored, what is not leaves no trace.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::{Relay, SECRET, problem};
use crate::contract::Call;

/// What `openssl dgst -sha256 -hmac` makes of it.
fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.{body}").as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[expect(clippy::disallowed_methods, reason = "a sender has a clock of its own")]
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn send(relay: &Relay, timestamp: i64, signature: &str, body: &str) -> Call {
    relay
        .post("/webhooks/omni", body.to_owned())
        .header("X-Omni-Signature-Timestamp", timestamp)
        .header("X-Omni-Signature", signature)
}

pub(super) fn signed(relay: &Relay, body: &str) -> Call {
    send(relay, now(), &signature(SECRET, &now().to_string(), body), body)
}

/// Every key of the relay with its type and, for streams, their length; without the lease that comes and goes.
async fn everything(relay: &Relay) -> BTreeMap<String, (String, usize)> {
    let mut redis = relay.redis().await;
    let mut found = BTreeMap::new();
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("*{}*", relay.namespace)).query_async(&mut redis).await.unwrap();
    for key in keys.into_iter().filter(|key| !key.ends_with(":lease")) {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
        let length = match kind.as_str() {
            "stream" => redis::cmd("XLEN").arg(&key).query_async(&mut redis).await.unwrap(),
            _ => 0,
        };
        found.insert(key, (kind, length));
    }
    found
}

#[tokio::test]
async fn what_nobody_signed_leaves_no_trace() {
    let relay = Relay::start().await;
    let job = "66666666-6666-4666-8666-666666666666";
    // Valid, and about nothing that ends: it is kept aside, and no stage stirs.
    let quiet = json!({"eventId": "e-0", "type": "job.noticed", "jobId": job}).to_string();
    assert_eq!(signed(&relay, &quiet).send().await.unwrap().status(), 200);
    let before = super::eventually("everything that comes with a start is there", || async {
        let found = everything(&relay).await;
        (["intake", "prompts", "inbox", "unhandled", "shape"]
            .iter()
            .all(|name| found.contains_key(&format!("{{{}}}:{name}", relay.namespace))))
        .then_some(found)
    })
    .await;

    let body = json!({"eventId": "e-1", "type": "job.completed", "jobId": job, "status": "COMPLETE"}).to_string();
    let (at, text) = (now(), now().to_string());
    let good = signature(SECRET, &text, &body);
    let old = (now() - 301, signature(SECRET, &(now() - 301).to_string(), &body));
    let new = (now() + 400, signature(SECRET, &(now() + 400).to_string(), &body));
    let forged = [
        send(&relay, at, &good, &body.replace("e-1", "e-2")),
        send(&relay, at, &good.replace('a', "b").replace('0', "1"), &body),
        send(&relay, at + 1, &good, &body),
        send(&relay, at, &signature("another secret", &text, &body), &body),
        send(&relay, old.0, &old.1, &body),
        send(&relay, new.0, &new.1, &body),
        send(&relay, at, "", &body),
        relay.post("/webhooks/omni", body.clone()),
        relay.post("/webhooks/omni", body.clone()).header("X-Omni-Signature", &good),
        relay.post("/webhooks/omni", body.clone()).header("X-Omni-Signature-Timestamp", at),
    ];
    for request in forged {
        let problem = problem(request.send().await.unwrap(), 401).await;
        assert_eq!((&problem["code"], problem.get("detail")), (&json!("unauthorized"), None));
    }
    assert_eq!(everything(&relay).await, before);

    assert_eq!(send(&relay, at, &good, &body).send().await.unwrap().status(), 200, "the same, as it was signed");
    assert!(everything(&relay).await.keys().any(|key| key.contains(":seen:event:")));
    relay.stop().await;
}

#[tokio::test]
async fn fifty_copies_at_once_are_one_answer() {
    let relay = Relay::start().await;
    let job = "77777777-7777-4777-8777-777777777777";
    let body = json!({"eventId": "e-1", "type": "job.completed", "jobId": job, "status": "COMPLETE"}).to_string();
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..50 {
        sending.spawn(signed(&relay, &body).send());
    }
    for answer in sending.join_all().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    let mut redis = relay.redis().await;
    let added: Vec<redis::Value> = redis::cmd("XINFO")
        .arg("STREAM")
        .arg(format!("{{{}}}:inbox", relay.namespace))
        .query_async(&mut redis)
        .await
        .unwrap();
    let name = redis::Value::BulkString(b"entries-added".to_vec());
    let at = added.iter().position(|value| *value == name).unwrap();
    assert_eq!(added[at + 1], redis::Value::Int(1), "of fifty copies one was stored");
    relay.lifecycle.request_stop();
}

#[tokio::test]
async fn what_became_of_webhooks_is_counted() {
    let relay = Relay::start().await;
    relay.answered("t-1").await;
    relay.post("/webhooks/omni", "{}").send().await.unwrap();
    let text = relay.get("/metrics").send().await.unwrap().text().await.unwrap();
    for outcome in ["stored", "missing"] {
        assert!(text.contains(&format!("omni_relay_webhooks_total{{outcome=\"{outcome}\"}}")), "{outcome}:\n{text}");
    }
    relay.stop().await;
}
