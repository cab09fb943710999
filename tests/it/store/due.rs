//! defer and promote: what waits comes back, once, as it was put aside.

use futures_util::future::join_all;
use omni_relay::model::{Envelope, Submit};
use omni_relay::store::delivery::{Settled, Stream};

use super::bed::{Bed, NOW, claim_one, next, prompt_of, until};

#[tokio::test]
async fn what_was_put_aside_comes_back_when_it_is_due() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let id = bed.accept("c").await;
    let delivery = next(&mut submit).await;
    let mut envelope: Envelope<Submit> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
    envelope.failed(NOW, "omni: 503".to_owned());
    assert_eq!(bed.store.defer(&delivery, None, &until(NOW + 1), &envelope).await.unwrap(), Settled::Yes);
    assert_eq!(bed.depth(Stream::Prompts).await, (0, 0));
    assert_eq!(bed.store.defer(&delivery, None, &until(NOW + 1), &envelope).await.unwrap(), Settled::Lost, "a repeat");

    let early = bed.store.promote(NOW, 10).await.unwrap();
    assert_eq!((early.count, early.next), (0, Some(NOW + 1)), "to the millisecond");
    let replicas: Vec<_> = (0..8).map(|_| bed.replica()).collect();
    let moved = join_all(replicas.iter().map(|store| store.promote(NOW + 1, 10))).await;
    assert_eq!(moved.into_iter().map(|one| one.unwrap().count).sum::<usize>(), 1, "promoted once");
    let back = next(&mut submit).await;
    let returned: Envelope<Submit> = serde_json::from_slice(back.field("entry").unwrap()).unwrap();
    assert_eq!((prompt_of(&back), returned.history, back.deliveries()), (id, envelope.history, 1));
    let left: usize = bed.ask(&["EXISTS", &bed.store.keys().due, &bed.store.keys().due_entries]).await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn everything_goes_back_to_its_own_stage_in_batches() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    for n in 0..3 {
        bed.accept(&format!("c-{n}")).await;
        let delivery = next(&mut submit).await;
        let envelope: Envelope<Submit> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
        let _ = bed.store.defer(&delivery, None, &until(NOW + n), &envelope).await.unwrap();
        let delivery = bed.inbox(&mut inbox).await;
        let envelope: Envelope<serde_json::Value> = serde_json::from_slice(delivery.field("entry").unwrap()).unwrap();
        let _ = bed.store.defer(&delivery, None, &until(NOW + n), &envelope).await.unwrap();
    }
    let first = bed.store.promote(NOW + 10, 4).await.unwrap();
    assert_eq!((first.count, first.next), (4, Some(NOW + 2)));
    let second = bed.store.promote(NOW + 10, 4).await.unwrap();
    assert_eq!((second.count, second.next), (2, None));
    assert_eq!((bed.depth(Stream::Prompts).await, bed.depth(Stream::Inbox).await), ((3, 0), (3, 0)));
}

#[tokio::test]
async fn a_former_owner_puts_nothing_aside() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Prompts, "first").await;
    let second = bed.consumer(Stream::Prompts, "second").await;
    bed.accept("c").await;
    let held = next(&mut first).await;
    let _claimed = claim_one(&second).await;
    let envelope: Envelope<Submit> = serde_json::from_slice(held.field("entry").unwrap()).unwrap();
    assert_eq!(bed.store.defer(&held, None, &until(NOW), &envelope).await.unwrap(), Settled::Lost);
    assert_eq!(bed.store.promote(NOW, 10).await.unwrap().count, 0);
    assert_eq!(bed.depth(Stream::Prompts).await, (1, 1));
}
