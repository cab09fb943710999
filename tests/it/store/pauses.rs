//! pause, resume: a tenant's turn does not come while it is paused; who paused first stands there; the audit has both.

use jiff::Timestamp;
use omni_relay::model::Tenant;
use omni_relay::store::delivery::Stream;
use omni_relay::store::pauses::{Note, Pausable, Paused};

use super::bed::{Bed, NOW, next, prompt_of};

fn tenant(name: &str) -> Pausable {
    Pausable::Tenant(Tenant::new(Some(name)))
}

fn paused(what: Pausable, who: &str) -> Paused {
    Paused { what, note: Note { who: who.to_owned(), at: Timestamp::UNIX_EPOCH, why: Some("Omni is slow".to_owned()) } }
}

#[tokio::test]
async fn who_paused_first_stands_there_and_the_audit_tells_everything() {
    let bed = Bed::new().await;
    let stage = Pausable::Stage(Stream::Prompts);
    assert!(bed.store.pause(&paused(tenant("acme"), "cli:olga")).await.unwrap());
    assert!(bed.store.pause(&paused(stage.clone(), "cli:olga")).await.unwrap());
    assert!(!bed.store.pause(&paused(stage.clone(), "cli:oleg")).await.unwrap(), "a repeat");
    let pauses = bed.store.pauses().await.unwrap();
    assert_eq!(pauses, [paused(stage.clone(), "cli:olga"), paused(tenant("acme"), "cli:olga")]);
    // A later version pauses something else.
    let _: usize = bed.ask(&["HSET", &bed.store.keys().paused, "planet:earth", "{}"]).await;
    assert_eq!(bed.store.pauses().await.unwrap(), pauses);

    assert!(bed.store.resume(&stage, "http:ops").await.unwrap());
    assert!(!bed.store.resume(&stage, "http:ops").await.unwrap(), "a repeat");
    assert_eq!(bed.store.pauses().await.unwrap().len(), 1);
    let (audit, _) = bed.store.audit(None, 10).await.unwrap();
    let said: Vec<String> = audit.iter().map(|one| format!("{} {} {}", one.who, one.what, one.id)).collect();
    assert_eq!(said, ["http:ops resume stage:submit", "cli:olga pause stage:submit", "cli:olga pause tenant:acme"]);
    assert_eq!(audit[1].details.as_ref().unwrap().get(), r#"{"why":"Omni is slow"}"#);
    assert!(audit[0].details.is_none());
    let (page, next) = bed.store.audit(Some(audit[0].place), 1).await.unwrap();
    assert_eq!((page.len(), page[0].place, next), (1, audit[1].place, Some(audit[1].place)));
    let (page, next) = bed.store.audit(next, 1).await.unwrap();
    assert_eq!((page.len(), page[0].place, next), (1, audit[2].place, None));
}

#[tokio::test]
async fn the_turn_of_a_paused_tenant_does_not_come() {
    let bed = Bed::with_window(2).await;
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    bed.store.pause(&paused(tenant("a"), "cli")).await.unwrap();
    let held = [bed.accept("a/1").await, bed.accept("a/2").await];
    let depth = |name: &str| bed.store.keys().ready(name);
    assert_eq!(bed.ask::<usize>(&["LLEN", &depth("a")]).await, 2, "it takes no short cut");
    let others = bed.accept("b/1").await;
    assert_eq!(prompt_of(&next(&mut submit).await), others, "nobody else waits longer for it");
    assert_eq!(bed.store.take_turns(10, |_| 1).await.unwrap(), 0);
    // Somebody waits for a turn, and has it.
    let many = [bed.accept("c/1").await, bed.accept("c/2").await, bed.accept("c/3").await];
    assert_eq!(bed.store.take_turns(10, |_| 1).await.unwrap(), 1);
    for id in many {
        assert_eq!(prompt_of(&next(&mut submit).await), id);
    }

    bed.store.resume(&tenant("a"), "cli").await.unwrap();
    assert_eq!(bed.store.take_turns(10, |_| 1).await.unwrap(), 2);
    for id in held {
        assert_eq!(prompt_of(&next(&mut submit).await), id, "in the order of acceptance");
    }
    assert_eq!(bed.ask::<usize>(&["ZCARD", &bed.store.keys().turns]).await, 0);
}

#[tokio::test]
async fn whatever_becomes_of_its_prompts_a_tenant_stays_paused() {
    let bed = Bed::with_window(0).await;
    let waited = bed.accept("a/1").await;
    bed.store.pause(&paused(tenant("a"), "cli")).await.unwrap();
    assert_eq!(bed.store.take_turns(10, |_| 1).await.unwrap(), 0, "it had joined before");
    // Its last prompt leaves the line.
    let record = bed.record(waited).await;
    bed.store.cancel(&record, "cli", NOW, NOW + 1).await.unwrap();
    let late = bed.accept("a/2").await;
    assert_eq!(bed.store.take_turns(10, |_| 1).await.unwrap(), 0);
    bed.store.resume(&tenant("a"), "cli").await.unwrap();
    assert_eq!(bed.store.take_turns(10, |_| 1).await.unwrap(), 1);
    let mut submit = bed.consumer(Stream::Prompts, "s").await;
    assert_eq!(prompt_of(&next(&mut submit).await), late);
    // One that has nothing to do joins nobody.
    bed.store.pause(&paused(tenant("idle"), "cli")).await.unwrap();
    bed.store.resume(&tenant("idle"), "cli").await.unwrap();
    assert_eq!(bed.ask::<usize>(&["EXISTS", &bed.store.keys().turns]).await, 0);
}
