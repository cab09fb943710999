//! Whose MCP sessions are, as replicas remember it.

use super::bed::{Bed, DAY};

const OWNER: &str = r#"["agents","acme","dana"]"#;

#[tokio::test]
async fn a_session_is_its_owners_for_a_day_after_its_last_use() {
    let bed = Bed::new().await;
    bed.store.bind_session("session-1", OWNER, "key-1").await.unwrap();
    let key = bed.store.keys().mcp("session-1");
    let _: bool = bed.ask(&["PEXPIRE", &key, "5000"]).await;
    let replica = bed.replica();
    for (session, owner) in [("session-2", OWNER), ("session-1", r#"["agents","acme","anna"]"#), ("session-1", "")] {
        assert_eq!(replica.session(session, owner).await.unwrap(), None, "{session} {owner}");
    }
    assert!(bed.life(&key).await <= 5000, "what is not the owner's is no use");
    assert_eq!(replica.session("session-1", OWNER).await.unwrap().as_deref(), Some("key-1"));
    let (life, day) = (bed.life(&key).await, i64::try_from(DAY).unwrap());
    assert!((day - 60_000..=day).contains(&life), "{life}");

    let kept: String = bed.ask(&["GET", &key]).await;
    for name in ["session-1", "agents", "acme", "dana"] {
        assert!(!format!("{key} {kept}").contains(name), "{name} in {key}: {kept}");
    }
    bed.store.unbind_session("session-1").await.unwrap();
    assert_eq!(bed.store.session("session-1", OWNER).await.unwrap(), None);
}
