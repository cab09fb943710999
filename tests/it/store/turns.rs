//! turn: tenants take turns, each as often as its weight says.

use std::collections::HashMap;

use omni_relay::model::PromptId;
use omni_relay::store::delivery::Stream;
use omni_relay::store::streams::Consumer;

use super::bed::{Bed, next, prompt_of};

async fn push(bed: &Bed, tenant: &str, from: usize, count: usize) -> Vec<PromptId> {
    let mut ids = Vec::new();
    for n in from..from + count {
        ids.push(bed.accept(&format!("{tenant}/c-{n}")).await);
    }
    ids
}

/// Gives one turn, and says whose prompt came.
async fn turn(bed: &Bed, submit: &mut Consumer, weight: impl Fn(&str) -> u32) -> (String, PromptId) {
    assert_eq!(bed.store.take_turns(1, weight).await.unwrap(), 1);
    let delivery = next(submit).await;
    let id = prompt_of(&delivery);
    let _ = bed.store.done(&delivery).await.unwrap();
    (bed.record(id).await.tenant().as_str().to_owned(), id)
}

#[tokio::test]
async fn a_thousand_prompts_of_one_tenant_hold_up_nobody() {
    for noisy in ["a", "z"] {
        let bed = Bed::with_window(0).await;
        let mut submit = bed.consumer(Stream::Prompts, "s").await;
        let theirs = push(&bed, noisy, 0, 1000).await;
        for id in &theirs[..3] {
            assert_eq!(turn(&bed, &mut submit, |_| 1).await.1, *id, "a tenant's own prompts keep their order");
        }
        push(&bed, "m", 0, 1).await;
        let two = [turn(&bed, &mut submit, |_| 1).await.0, turn(&bed, &mut submit, |_| 1).await.0];
        assert!(two.contains(&"m".to_owned()), "after two turns only {two:?} were served");
    }
}

#[tokio::test]
async fn a_tenant_that_drips_does_not_overtake() {
    for drip in ["a", "z"] {
        let bed = Bed::with_window(0).await;
        let mut submit = bed.consumer(Stream::Prompts, "s").await;
        push(&bed, "m", 0, 10).await;
        let mut served: HashMap<String, usize> = HashMap::new();
        for n in 0..10 {
            let waits: usize = bed.ask(&["LLEN", &bed.store.keys().ready(drip)]).await;
            if waits == 0 {
                push(&bed, drip, n, 1).await;
            }
            *served.entry(turn(&bed, &mut submit, |_| 1).await.0).or_default() += 1;
        }
        assert!(served["m"] >= 4 && served[drip] >= 4, "{served:?}");
    }
}

#[tokio::test]
async fn a_heavier_tenant_has_more_turns() {
    let bed = Bed::with_window(0).await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    push(&bed, "heavy", 0, 40).await;
    push(&bed, "light", 0, 40).await;
    let weight = |tenant: &str| if tenant == "heavy" { 3 } else { 1 };
    let mut served: HashMap<String, usize> = HashMap::new();
    for _ in 0..40 {
        *served.entry(turn(&bed, &mut submit, weight).await.0).or_default() += 1;
    }
    assert!((29..=31).contains(&served["heavy"]), "{served:?}");
}

#[tokio::test]
async fn who_finds_the_stream_short_does_not_wait_for_a_turn() {
    let bed = Bed::with_window(2).await;
    let ids = push(&bed, "a", 0, 4).await;
    let length: usize = bed.ask(&["XLEN", &bed.store.keys().prompts]).await;
    let ready: Vec<String> = bed.ask(&["LRANGE", &bed.store.keys().ready("a"), "0", "-1"]).await;
    assert_eq!((length, ready), (2, vec![ids[2].to_string(), ids[3].to_string()]));
    // Room alone lets nobody past those who wait.
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    for _ in 0..2 {
        let delivery = next(&mut submit).await;
        let _ = bed.store.done(&delivery).await.unwrap();
    }
    let late = push(&bed, "b", 0, 1).await;
    assert_eq!(bed.store.take_turns(10, |_| 1).await.unwrap(), 3);
    let order: Vec<PromptId> = submit.read(10, super::bed::BLOCK).await.unwrap().iter().map(prompt_of).collect();
    assert_eq!(order, [ids[2], late[0], ids[3]]);
    assert_eq!(bed.store.take_turns(10, |_| 1).await.unwrap(), 0);
    let turns: usize = bed.ask(&["ZCARD", &bed.store.keys().turns]).await;
    assert_eq!(turns, 0);
}

#[tokio::test]
async fn no_more_prompts_have_had_their_turn_than_there_are_free_hands() {
    let bed = Bed::with_window(0).await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    push(&bed, "a", 0, 60).await;
    let replica = bed.replica();
    let (one, other) = tokio::join!(bed.store.take_turns(16, |_| 1), replica.take_turns(16, |_| 1));
    assert_eq!(one.unwrap() + other.unwrap(), 16, "two replicas overfill the stream");
    assert_eq!(bed.store.take_turns(16, |_| 1).await.unwrap(), 0, "whoever does not read takes more and more");
    let held = submit.read(5, super::bed::BLOCK).await.unwrap();
    assert_eq!((held.len(), bed.store.take_turns(16, |_| 1).await.unwrap()), (5, 5), "what is in work is not waiting");
    assert_eq!(bed.depth(Stream::Prompts).await, (21, 5));
}
