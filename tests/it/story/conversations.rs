//! Conversations: order, users, names.

use omni_relay::simulator::{Behaviour, User};
use serde_json::{Value, json};

use crate::world::{MODEL, World, text};

fn dana() -> String {
    User::new("dana", "Dana").id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_ups_sent_at_once_are_answered_in_order() {
    let world = World::new().await;
    let mut all = Vec::new();
    for n in 0..6 {
        all.push(world.ask_in("thread", &format!("revenue by region, take {n}")).await);
    }
    for asked in &all {
        world.eventually_answered(asked).await;
    }
    let jobs = world.sim.jobs();
    let prompts: Vec<&str> = jobs.iter().map(|job| job.prompt.as_str()).collect();
    let wanted: Vec<String> = (0..6).map(|n| format!("revenue by region, take {n}")).collect();
    assert_eq!(prompts, wanted);
    assert!(jobs.iter().all(|job| job.conversation_id == jobs[0].conversation_id), "one conversation of Omni's");
    assert_eq!(world.sim.requests().iter().filter(|request| request.status == Some(409)).count(), 0);
    let answers: Vec<String> = world
        .entries("thread")
        .await
        .iter()
        .filter(|entry| entry["type"] == "omni.answer")
        .map(|entry| text(&entry["data"], "promptId"))
        .collect();
    assert_eq!(answers, all.iter().map(|asked| asked.id.clone()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_follow_ups_by_omnis_conversation_alone_share_one_stream() {
    let world = World::new().await;
    let first = world.ask("revenue by region").await;
    let answer = world.eventually_answered(&first).await;
    let conversation_id = text(&answer["data"], "conversationId");
    let (one, two) = tokio::join!(
        world.ask_with(json!({"prompt": "and only for Europe?", "conversationId": conversation_id})),
        world.ask_with(json!({"prompt": "and by month?", "conversationId": conversation_id})),
    );
    assert_eq!((&one.conversation, &two.conversation), (&first.conversation, &first.conversation));
    world.eventually_answered(&one).await;
    world.eventually_answered(&two).await;
    assert!(world.sim.jobs().iter().all(|job| job.conversation_id.to_string() == conversation_id));
    assert_eq!(world.sim.requests().iter().filter(|request| request.status == Some(409)).count(), 0);
}

/// Wherever a conversation is named, Omni's id of it is a name, too; what is so called itself goes before.
#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_may_name_omnis_conversation_as_its_own() {
    let world = World::new().await;
    let first = world.ask("revenue by region").await;
    let conversation_id = text(&world.eventually_answered(&first).await["data"], "conversationId");
    let follow_up = world.ask_in(&conversation_id, "and by month?").await;
    assert_eq!(follow_up.conversation, first.conversation);
    world.eventually_answered(&follow_up).await;
    assert_eq!(world.sim.jobs()[1].conversation_id.to_string(), conversation_id);
    let own = uuid::Uuid::new_v4().to_string();
    for prompt in ["revenue by region", "and by month?"] {
        let asked = world.ask_in(&own, prompt).await;
        assert_eq!(asked.conversation, own);
        world.eventually_answered(&asked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_own_calls_work() {
    let world = World::new().await;
    let first = world.ask_with(json!({"modelId": MODEL, "prompt": "revenue by region"})).await;
    let answer = world.eventually_answered(&first).await;
    let conversation_id = text(&answer["data"], "conversationId");
    let follow_up =
        json!({"modelId": MODEL, "prompt": "only Europe", "conversationId": conversation_id, "userId": dana()});
    let second = world.ask_with(follow_up).await;
    assert_eq!(second.conversation, first.conversation);
    world.eventually_answered(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_belongs_to_one_user() {
    let world = World::new().await;
    let asked = world.ask_in("thread", "revenue by region").await;
    let anna = User::new("emea-anna", "Anna").id.to_string();
    let response = world.post(&json!({"prompt": "and mine?", "conversation": "thread", "userId": anna})).await;
    assert_eq!(response.status(), 409);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "conversation_user_mismatch");
    world.eventually_answered(&asked).await;
    assert_eq!(world.sim.jobs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embed_user_is_looked_up_and_asked_for() {
    let world = World::new().await;
    let asked = world.ask_with(json!({"prompt": "revenue by region", "user": {"externalId": "emea-anna"}})).await;
    let answer = world.eventually_answered(&asked).await;
    assert_eq!(world.sim.jobs()[0].user_id, Some(User::new("emea-anna", "Anna").id));
    let message = text(&answer["data"], "message");
    assert!(message.contains("Europe") && !message.contains("Asia"), "Anna sees her region only: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_embed_user_ends_the_prompt_and_frees_the_conversation() {
    let world = World::new().await;
    let asked =
        world.ask_with(json!({"prompt": "q", "user": {"externalId": "nobody"}, "conversation": "thread"})).await;
    let entry = world.eventually_ends(&asked).await;
    assert_eq!((&entry["type"], &entry["data"]["error"]["code"]), (&json!("omni.failed"), &json!("user_not_found")));
    assert_eq!(world.sim.jobs().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_prompt_that_fails_does_not_hold_up_the_next() {
    let world = World::new().await;
    world.sim.next_job(Behaviour::new().refused(400));
    let bad = world.ask_in("thread", "revenue by region").await;
    let good = world.ask_in("thread", "revenue by month").await;
    let entry = world.eventually_ends(&bad).await;
    assert_eq!(entry["type"], "omni.failed");
    world.eventually_answered(&good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_conversations_do_not_mix() {
    let world = World::new().await;
    let mut all = Vec::new();
    for n in 0..60 {
        all.push(world.ask_in(&format!("thread-{}", n % 20), &format!("revenue by region {n}")).await);
    }
    for asked in &all {
        let answer = world.eventually_answered(asked).await;
        assert_eq!(answer["subject"], asked.conversation.as_str());
    }
    assert_eq!(world.sim.requests().iter().filter(|request| request.status == Some(409)).count(), 0);
}
