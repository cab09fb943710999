//! backlog: what is unfinished is counted, and past the limit nothing new comes in.

use std::time::Duration;

use futures_util::future::join_all;
use omni_relay::model::{EntryType, Phase};
use omni_relay::pipeline::DeadLetters;
use omni_relay::runtime::Clock;
use omni_relay::store::Policy;
use omni_relay::store::accept::Accepted;
use omni_relay::store::backlog::{Backlog, Limit, Share};
use omni_relay::store::dead::Decided;
use omni_relay::store::delivery::{Settled, Stream};
use serde_json::json;

use super::bed::{Bed, NOW, accept, body, new_id, next, policy};
use super::bury::bury;

async fn limited(prompts: u64, bytes: u64, tenant_share: u32) -> Bed {
    Bed::with(Policy { backlog: Limit { prompts, bytes, tenant_share }, ..policy() }).await
}

async fn try_one(bed: &Bed, conversation: &str) -> Accepted {
    bed.try_accept(new_id(), conversation, &body(&json!({}))).await
}

#[tokio::test]
async fn at_its_limit_the_backlog_takes_nothing_new_and_keeps_nothing_of_it() {
    let bed = limited(2, 1 << 20, 100).await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let (first, second) = (bed.accept("a").await, bed.accept("a").await);
    let shed = new_id();
    let with_key = body(&json!({"idempotencyKey": "k"}));
    assert_eq!(bed.try_accept(shed, "b", &with_key).await, Accepted::Full(Share::All));
    assert!(bed.store.record(shed).await.unwrap().is_none());
    assert_eq!((bed.slot("b", "user").await, bed.line("b").await.len(), bed.deadline(shed).await), (None, 0, None));

    bed.end(&mut inbox, first, "a", EntryType::Answer).await;
    assert_eq!(bed.try_accept(shed, "b", &with_key).await, Accepted::New(Phase::Queued), "the key was not used up");
    assert_eq!(try_one(&bed, "b").await, Accepted::Full(Share::All));
    assert_eq!(
        bed.try_accept(new_id(), "b", &with_key).await,
        Accepted::Same(shed),
        "what is ours already is not shed"
    );
    bed.end(&mut inbox, second, "a", EntryType::Answer).await;
    bed.end(&mut inbox, shed, "b", EntryType::Answer).await;
    assert_eq!(bed.store.backlog().await.unwrap(), Backlog::default());
    assert_eq!(bed.ask::<u8>(&["EXISTS", &bed.store.keys().backlog]).await, 0, "an empty backlog leaves no key");
}

#[tokio::test]
async fn a_tenant_has_its_share_and_others_have_theirs() {
    let bed = limited(10, 1 << 20, 30).await;
    for n in 0..3 {
        assert_eq!(try_one(&bed, &format!("a/{n}")).await, Accepted::New(Phase::Queued));
    }
    assert_eq!(try_one(&bed, "a/3").await, Accepted::Full(Share::Tenant));
    assert_eq!(try_one(&bed, "b/0").await, Accepted::New(Phase::Queued));
    // Without a tenant there is no share, only the whole.
    for n in 0..6 {
        assert_eq!(try_one(&bed, &format!("c-{n}")).await, Accepted::New(Phase::Queued), "{n}");
    }
    assert_eq!(try_one(&bed, "c-6").await, Accepted::Full(Share::All));
    assert_eq!(try_one(&bed, "b/1").await, Accepted::Full(Share::All));
    assert_eq!(try_one(&bed, "a/3").await, Accepted::Full(Share::Tenant));
}

#[tokio::test]
async fn the_prompt_that_reaches_the_limit_in_bytes_is_taken() {
    let bed = limited(1000, 4000, 50).await;
    let large = body(&json!({"prompt": "x".repeat(5000)}));
    assert_eq!(bed.try_accept(new_id(), "a/1", &large).await, Accepted::New(Phase::Queued));
    assert_eq!(try_one(&bed, "a/2").await, Accepted::Full(Share::Tenant));
    assert_eq!(try_one(&bed, "b/1").await, Accepted::Full(Share::All));
}

#[tokio::test]
async fn what_is_wrong_for_good_is_told_before_what_passes() {
    let bed = limited(1, 1 << 20, 100).await;
    bed.accept("c").await;
    let stranger = body(&json!({"user": {"externalId": "eve"}}));
    assert_eq!(bed.try_accept(new_id(), "c", &stranger).await, Accepted::UserMismatch);
}

#[tokio::test]
async fn a_dead_prompt_makes_room_and_comes_back_however_full_it_is() {
    let bed = limited(1, 1 << 20, 100).await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    bed.consumer(Stream::Inbox, "i").await;
    let id = bed.accept("acme/c").await;
    let before = bed.store.backlog().await.unwrap();
    assert_eq!(bury(&bed, &next(&mut submit).await, id, NOW).await, Settled::Yes);
    assert_eq!(bed.store.backlog().await.unwrap(), Backlog::default());
    bed.accept("b").await;
    let between = bed.store.backlog().await.unwrap();
    assert_eq!(letters(&bed).replay(&id.to_string(), "test").await.unwrap(), Some(Decided::Replayed));
    let after = bed.store.backlog().await.unwrap();
    assert_eq!((after.prompts, after.bytes), (2, between.bytes + before.bytes));
    assert_eq!(try_one(&bed, "b").await, Accepted::Full(Share::All));
}

#[tokio::test]
async fn a_hundred_at_once_do_not_pass_the_limit() {
    let bed = limited(7, 1 << 20, 100).await;
    let asked = body(&json!({}));
    let attempts = (0..100).map(|n| {
        let (store, asked) = (&bed.store, &asked);
        async move { accept(store, new_id(), &format!("c-{n}"), asked, None).await }
    });
    let outcomes = join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Accepted::New(_))).count(), 7);
}

pub(super) fn letters(bed: &Bed) -> DeadLetters {
    DeadLetters::new(bed.store.clone(), Clock::shiftable(), Duration::from_secs(75))
}
