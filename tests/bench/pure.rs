//! The parts that ask nobody, one at a time: `./dev bench pure`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use omni_relay::model::{Body, Defaults};
use omni_relay::omni::Event;
use omni_relay::omni::signature::{Verifier, sign};
use secrecy::SecretString;
use serde_json::json;

const NOW_MS: u64 = 1_764_000_000_000;

fn webhooks(criterion: &mut Criterion) {
    let secret = SecretString::from("whsec-of-the-benches");
    let verifier = Verifier::new(std::slice::from_ref(&secret), Duration::from_mins(5));
    let body = json!({
        "event_id": "evt_9f1c22d4_COMPLETE", "jobId": "9f1c22d4-9a1b-4c33-8a53-6f0f5b8c7a11", "status": "COMPLETE",
        "result_summary": "Sales rose in May, mostly in the north.", "completed_at": "2025-01-24T10:30:00Z",
        "metadata": {"promptId": "01jjbq3v9k7x0f6t2m4c8d5e1a", "conversation": "acme/thread-1"},
    });
    let body = body.to_string();
    let timestamp = (NOW_MS / 1000).to_string();
    let signature = sign(&secret, &timestamp, body.as_bytes());
    assert!(
        verifier.verify(&timestamp, &signature, body.as_bytes(), NOW_MS).is_ok()
            && Event::read(body.as_bytes()).is_ok()
    );
    let mut group = criterion.benchmark_group("webhook");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("verify", |bench| {
        bench.iter(|| verifier.verify(&timestamp, &signature, black_box(body.as_bytes()), NOW_MS).is_ok());
    });
    group.bench_function("read", |bench| bench.iter(|| Event::read(black_box(body.as_bytes())).is_ok()));
    group.finish();
}

fn prompts(criterion: &mut Criterion) {
    let user = "11111111-1111-4111-8111-111111111111";
    let body = json!({"prompt": "How were sales in May?", "userId": user, "modelId": user}).to_string();
    assert!(Body::parse(body.as_bytes(), Defaults::default()).is_ok());
    let mut group = criterion.benchmark_group("prompt");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("read", |bench| {
        bench.iter(|| Body::parse(black_box(body.as_bytes()), Defaults::default()).is_ok());
    });
    group.finish();
}

criterion_group!(parts, webhooks, prompts);
criterion_main!(parts);
