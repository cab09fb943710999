//! accept: a prompt becomes ours, once, in its place.

use futures_util::future::join_all;
use omni_relay::model::{EntryType, Phase};
use omni_relay::store::accept::Accepted;
use omni_relay::store::delivery::Stream;
use serde_json::json;
use uuid::Uuid;

use super::bed::{BLOCK, Bed, DAY, NOW, accept, body, claim_one, named, new_id, next, prompt_of};

#[tokio::test]
async fn the_same_key_and_body_are_the_same_prompt() {
    let bed = Bed::new().await;
    let (first, second, third) = (new_id(), new_id(), new_id());
    let asked = body(&json!({"idempotencyKey": "k"}));
    assert_eq!(bed.try_accept(first, "c", &asked).await, Accepted::New(Phase::Queued));
    assert_eq!(bed.try_accept(second, "c", &asked).await, Accepted::Same(first));
    let other = body(&json!({"idempotencyKey": "k", "topicName": "orders"}));
    assert_eq!(bed.try_accept(third, "c", &other).await, Accepted::KeyReused);

    assert!(bed.store.record(second).await.unwrap().is_none());
    assert!(bed.store.record(third).await.unwrap().is_none());
    assert!(bed.line("c").await.is_empty());
    let life = bed.life(&bed.store.keys().idempotency(&named("c").tenant(), Some("k"))).await;
    assert!((1..=i64::try_from(DAY).unwrap()).contains(&life), "{life}");
    // Another tenant's key of the same name is another key.
    assert_eq!(bed.try_accept(third, "acme/c", &other).await, Accepted::New(Phase::Queued));
}

#[tokio::test]
async fn fifty_first_uses_of_a_key_make_one_prompt() {
    let bed = Bed::new().await;
    let asked = body(&json!({"idempotencyKey": "k"}));
    let replicas: Vec<_> = (0..5).map(|_| bed.replica()).collect();
    let attempts = (0..50).map(|n| {
        let (store, asked) = (&replicas[n % 5], &asked);
        async move {
            let id = new_id();
            (id, accept(store, id, "c", asked, None).await)
        }
    });
    let outcomes = join_all(attempts).await;
    let new: Vec<_> = outcomes.iter().filter(|(_, accepted)| matches!(accepted, Accepted::New(_))).collect();
    assert_eq!(new.len(), 1);
    let winner = new[0].0;
    assert!(outcomes.iter().all(|(id, accepted)| *id == winner || *accepted == Accepted::Same(winner)));
    let queued: usize = bed.ask(&["XLEN", &bed.store.keys().prompts]).await;
    let checked: usize = bed.ask(&["ZCARD", &bed.store.keys().deadlines]).await;
    assert_eq!((queued, checked, bed.line("c").await.len()), (1, 1, 0));
}

#[tokio::test]
async fn a_conversation_has_one_user() {
    let bed = Bed::new().await;
    bed.accept("c").await;
    let id = new_id();
    let stranger = body(&json!({"user": {"externalId": "eve"}}));
    assert_eq!(bed.try_accept(id, "c", &stranger).await, Accepted::UserMismatch);
    assert!(bed.store.record(id).await.unwrap().is_none());
    assert!(bed.line("c").await.is_empty());
    assert_eq!(bed.deadline(id).await, None);
    // Whoever names the user as Omni does is not the same user.
    let by_id = body(&json!({"user": null, "userId": Uuid::from_u128(7)}));
    assert_eq!(bed.try_accept(id, "c", &by_id).await, Accepted::UserMismatch);
}

#[tokio::test]
async fn omnis_conversation_belongs_to_one_of_ours() {
    let bed = Bed::new().await;
    let (omnis, others) = (Uuid::from_u128(10), Uuid::from_u128(11));
    let continuing = |id: Uuid| body(&json!({"conversationId": id}));
    assert_eq!(bed.try_accept(new_id(), "acme/a", &continuing(omnis)).await, Accepted::New(Phase::Queued));
    assert_eq!(bed.store.conversation_of(omnis).await.unwrap(), Some(named("acme/a")));
    assert_eq!(bed.life(&bed.store.keys().alias(&omnis.to_string())).await, -1, "the alias lives as its slot");

    assert_eq!(bed.try_accept(new_id(), "b", &continuing(omnis)).await, Accepted::BoundTo(named("acme/a")));
    assert_eq!(bed.slot("b", "user").await, None, "a refused prompt leaves nothing behind");
    assert_eq!(bed.try_accept(new_id(), "acme/a", &continuing(others)).await, Accepted::Rebound);
    assert_eq!(bed.try_accept(new_id(), "acme/a", &continuing(omnis)).await, Accepted::New(Phase::Waiting));

    // A conversation whose first prompt is on its way will get an id of Omni's, and not this one.
    bed.accept("c").await;
    assert_eq!(bed.try_accept(new_id(), "c", &continuing(others)).await, Accepted::Rebound);
    assert_eq!(bed.store.conversation_of(others).await.unwrap(), None);
}

#[tokio::test]
async fn the_slot_is_taken_at_acceptance_and_the_line_keeps_its_order() {
    let bed = Bed::new().await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    let mut inbox = bed.consumer(Stream::Inbox, "i").await;
    let mut prompts = Vec::new();
    for _ in 0..5 {
        prompts.push(bed.accept("c").await);
    }
    assert_eq!(bed.slot("c", "active").await, Some(prompts[0].to_string()));
    assert_eq!(bed.line("c").await, prompts[1..].iter().map(ToString::to_string).collect::<Vec<_>>());
    for id in prompts {
        assert_eq!(bed.phase(id).await, Phase::Queued);
        let delivery = next(&mut submit).await;
        assert_eq!(prompt_of(&delivery), id, "out of turn");
        assert!(submit.read(1, BLOCK / 10).await.unwrap().is_empty(), "two of one conversation at once");
        assert_eq!(bed.deadline(id).await, Some(1_900_000_075_123.0));
        bed.end(&mut inbox, id, "c", EntryType::Answer).await;
        let _ = bed.store.done(&delivery).await.unwrap();
    }
    assert_eq!(bed.slot("c", "active").await, None);
}

#[tokio::test]
async fn the_record_says_what_was_asked() {
    let bed = Bed::new().await;
    let id = new_id();
    bed.try_accept(id, "acme/c", &body(&json!({"metadata": {"thread": 7}, "topicName": "orders"}))).await;
    let record = bed.record(id).await;
    assert_eq!((record.conversation.as_str(), record.phase), ("acme/c", Phase::Queued));
    assert_eq!(record.metadata["thread"], 7);
    assert_eq!(record.accepted_at(), NOW);
    let request = record.request.unwrap();
    assert_eq!((request.prompt.as_str(), request.topic_name.as_deref()), ("revenue?", Some("orders")));
    assert_eq!(bed.life(&bed.store.keys().prompt(&id.to_string())).await, -1);
}

#[tokio::test]
async fn a_pushed_prompt_is_accepted_and_its_entry_gone_together() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Intake, "first").await;
    let second = bed.consumer(Stream::Intake, "second").await;
    bed.ask::<String>(&["XADD", &bed.store.keys().intake, "*", "data", "{}"]).await;
    let held = next(&mut first).await;
    let claimed = claim_one(&second).await;
    assert_eq!(claimed.deliveries(), 2);

    let (late, id) = (new_id(), new_id());
    let asked = body(&json!({}));
    assert_eq!(accept(&bed.store, late, "c", &asked, Some(&held)).await, Accepted::Lost);
    assert!(bed.store.record(late).await.unwrap().is_none(), "its former owner accepted it");
    assert_eq!(accept(&bed.store, id, "c", &asked, Some(&claimed)).await, Accepted::New(Phase::Queued));
    assert_eq!(bed.depth(Stream::Intake).await, (0, 0));
    assert_eq!(
        accept(&bed.store, late, "c", &asked, Some(&claimed)).await,
        Accepted::Lost,
        "a repeat finds it settled"
    );
    assert!(bed.line("c").await.is_empty());
}

/// The right to read in order may end between two replicas' reads: what is read then must still not overtake.
#[tokio::test]
async fn a_pushed_prompt_is_not_accepted_before_one_that_was_pushed_earlier() {
    let bed = Bed::new().await;
    let mut first = bed.consumer(Stream::Intake, "first").await;
    let mut second = bed.consumer(Stream::Intake, "second").await;
    let push = ["XADD", &bed.store.keys().intake, "*", "data", "{}"];
    bed.ask::<String>(&push).await;
    bed.ask::<String>(&push).await;
    let (earlier, later) = (next(&mut first).await, next(&mut second).await);

    let (id, behind) = (new_id(), new_id());
    let asked = body(&json!({}));
    assert_eq!(accept(&bed.store, behind, "c", &asked, Some(&later)).await, Accepted::Lost, "it overtook another");
    assert!(bed.store.record(behind).await.unwrap().is_none());
    assert_eq!(bed.depth(Stream::Intake).await, (2, 2));
    assert_eq!(accept(&bed.store, id, "c", &asked, Some(&earlier)).await, Accepted::New(Phase::Queued));
    let later = claim_one(&second).await;
    assert_eq!(accept(&bed.store, behind, "c", &asked, Some(&later)).await, Accepted::New(Phase::Waiting));
    assert_eq!(bed.depth(Stream::Intake).await, (0, 0));
}

#[tokio::test]
async fn a_conversation_is_found_by_its_own_name_and_then_by_omnis() {
    let bed = Bed::new().await;
    let (omnis, other) = (Uuid::new_v4(), Uuid::new_v4());
    for (conversation, omnis) in [("acme/thread", omnis), ("globex/thread", other)] {
        let asked = body(&json!({"conversationId": omnis}));
        assert_eq!(bed.try_accept(new_id(), conversation, &asked).await, Accepted::New(Phase::Queued));
    }
    let find = async |name: &str| {
        let own = named("acme/x").tenant();
        let own = omni_relay::model::Conversation::new(&own, name);
        bed.store.named(own, name, |bound| bound.tenant() == named("acme/x").tenant()).await.unwrap()
    };
    assert_eq!(find("thread").await, Some(named("acme/thread")));
    assert_eq!(find(&omnis.to_string()).await, Some(named("acme/thread")));
    assert_eq!(find(&other.to_string()).await, Some(named(&format!("acme/{other}"))), "it is another tenant's");
    assert_eq!(find("no/name").await, None);
    // What an earlier version began under Omni's id stays what it is.
    let own = format!("acme/{omnis}");
    bed.accept(&own).await;
    assert_eq!(find(&omnis.to_string()).await, Some(named(&own)));
}
