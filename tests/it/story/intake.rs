//! Prompts that other programs push onto the intake stream.

use omni_relay::simulator::User;
use serde_json::{Value, json};

use crate::world::{Asked, MODEL, Setting, World, eventually};

fn prompt(conversation: &str, text: &str) -> Value {
    json!({"prompt": text, "modelId": MODEL, "conversation": conversation, "userId": User::new("dana", "Dana").id})
}

async fn first_entry(world: &World, conversation: &str) -> Value {
    eventually(&format!("something is said in {conversation}"), async || {
        world.entries(conversation).await.into_iter().next()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_prompts_are_answered_in_the_order_they_were_pushed() {
    let world = World::new().await;
    for n in 0..5 {
        world.push(&prompt("pushed", &format!("revenue by region {n}")).to_string()).await;
    }
    eventually("five answers", async || {
        let answers = world.entries("pushed").await;
        (answers.iter().filter(|entry| entry["type"] == "omni.answer").count() == 5).then_some(())
    })
    .await;
    let prompts: Vec<String> = world.sim.jobs().into_iter().map(|job| job.prompt).collect();
    assert_eq!(prompts, (0..5).map(|n| format!("revenue by region {n}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_prompt_that_cannot_be_accepted_is_kept_and_its_readers_are_told() {
    let world = World::new().await;
    let mut wrong = prompt("pushed", "");
    wrong["modle"] = "x".into();
    wrong["metadata"] = json!({"request": "r-7"});
    world.push(&wrong.to_string()).await;
    let good = world.push(&prompt("other", "revenue by region").to_string()).await;
    assert!(!good.is_empty());

    let entry = first_entry(&world, "pushed").await;
    assert_eq!(entry["type"], "omni.failed");
    assert_eq!(entry["data"]["error"]["code"], "invalid_prompt");
    assert_eq!(entry["data"]["metadata"], wrong["metadata"], "who pushed it knows it by nothing else");
    let message = entry["data"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("/prompt") && message.contains("/modle"), "{message}");

    let letters = world.letters().await;
    assert_eq!(letters.len(), 1);
    let letter = world.letter(&letters[0]).await;
    assert_eq!((letter["stage"].as_str(), letter["reason"].as_str()), ("intake", "invalid_prompt"));
    assert_eq!(letter["original"], wrong.to_string(), "the bytes that were pushed");
    assert_eq!(entry["data"]["promptId"], letters[0].as_str());

    let other = Asked {
        id: crate::world::text(&first_entry(&world, "other").await["data"], "promptId"),
        conversation: "other".into(),
    };
    world.eventually_answered(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_no_prompt_blocks_nobody() {
    let world = World::new().await;
    world.push("{not json").await;
    let mut command = redis::cmd("XADD");
    command.arg(format!("{{{}}}:intake", world.namespace)).arg("*").arg("prompt").arg("no data field");
    let _: String = world.redis(&command).await;
    let mut command = redis::cmd("XADD");
    command.arg(format!("{{{}}}:intake", world.namespace)).arg("*").arg(b"\xff\xfe").arg("no text");
    let _: String = world.redis(&command).await;
    world.push(&prompt("pushed", "revenue by region").to_string()).await;
    let id = crate::world::text(&first_entry(&world, "pushed").await["data"], "promptId");
    world.eventually_answered(&Asked { id, conversation: "pushed".into() }).await;
    let mut reasons = Vec::new();
    for id in world.letters().await {
        reasons.push(world.letter(&id).await["reason"].clone());
    }
    reasons.sort();
    assert_eq!(reasons, ["invalid_prompt", "malformed", "malformed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_callers_a_pushed_prompt_names_a_configured_tenant() {
    let setting = Setting::config(|sources| {
        sources.with("callers.acme.key", "key-of-acme-0123456789").with("callers.acme.tenant", "acme")
    });
    let world = World::with(setting).await;
    let mut foreign = prompt("pushed", "revenue by region");
    foreign["tenant"] = "globex".into();
    world.push(&foreign.to_string()).await;
    world.push(&prompt("pushed", "no tenant").to_string()).await;
    let mut own = prompt("pushed", "revenue by region");
    own["tenant"] = "acme".into();
    world.push(&own.to_string()).await;
    let id = crate::world::text(&first_entry(&world, "acme/pushed").await["data"], "promptId");
    world.eventually_answered(&Asked { id, conversation: "acme/pushed".into() }).await;
    assert_eq!(world.letters().await.len(), 2);
    assert_eq!(world.sim.jobs().len(), 1);

    // Whose operators are to see it.
    own["prompt"] = "".into();
    own.as_object_mut().unwrap().remove("conversation");
    world.push(&own.to_string()).await;
    let letter = eventually("a letter", async || {
        let letters = world.letters().await;
        let intake = letters.into_iter().filter(|id| id.starts_with("intake-"));
        for id in intake {
            let letter = world.letter(&id).await;
            if letter.get("tenant").is_some_and(|tenant| tenant == "acme") {
                return Some(letter);
            }
        }
        None
    })
    .await;
    assert_eq!(letter.get("conversation"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_refused_prompt_are_found_by_omnis_conversation_too() {
    let world = World::new().await;
    let first = world.ask_in("thread", "revenue by region").await;
    let answer = world.eventually_answered(&first).await;
    let omnis = &answer["data"]["conversationId"];
    for name in ["conversationId", "conversation"] {
        let before = world.entries("thread").await.len();
        let mut wrong = json!({"prompt": "", "userId": world.sim.jobs()[0].user_id});
        wrong[name] = omnis.clone();
        world.push(&wrong.to_string()).await;
        eventually("readers are told", async || (world.entries("thread").await.len() > before).then_some(())).await;
        assert_eq!(world.entries("thread").await.pop().unwrap()["type"], "omni.failed", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_prompt_with_a_used_key_is_the_same_prompt() {
    let world = World::new().await;
    let mut body = prompt("pushed", "revenue by region");
    body["idempotencyKey"] = "k-1".into();
    world.push(&body.to_string()).await;
    world.push(&body.to_string()).await;
    let id = crate::world::text(&first_entry(&world, "pushed").await["data"], "promptId");
    world.eventually_answered(&Asked { id, conversation: "pushed".into() }).await;
    eventually("the intake is read", async || {
        let length: usize = world.redis(redis::cmd("XLEN").arg(format!("{{{}}}:intake", world.namespace))).await;
        (length == 0).then_some(())
    })
    .await;
    assert_eq!(world.sim.jobs().len(), 1);
}
