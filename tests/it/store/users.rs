//! Whom external ids stand for, as replicas remember it.

use omni_relay::store::users::Remembered;
use uuid::Uuid;

use super::bed::{Bed, DAY};

const ADA: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

#[tokio::test]
async fn an_id_is_remembered_for_a_day_by_all_replicas() {
    let bed = Bed::new().await;
    assert_eq!(bed.store.remembered_user("ada").await.unwrap(), None);
    bed.store.remember_user("ada", Remembered::Id(ADA)).await.unwrap();
    assert_eq!(bed.replica().remembered_user("ada").await.unwrap(), Some(Remembered::Id(ADA)));
    assert_eq!(bed.store.remembered_user("Ada").await.unwrap(), None, "external ids are compared with case");
    let key = bed.store.keys().user("ada");
    let life = bed.life(&key).await;
    let day = i64::try_from(DAY).unwrap();
    assert!((day - 60_000..=day).contains(&life), "{life}");
    let namespace = bed.store.keys().namespace();
    let hash = key.strip_prefix(&format!("{{{namespace}}}:user:")).unwrap();
    assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "the id itself is in {key}");
}

#[tokio::test]
async fn that_nobody_is_there_is_remembered_for_a_moment_and_never_hides_an_id() {
    let bed = Bed::new().await;
    bed.store.remember_user("ada", Remembered::Nobody).await.unwrap();
    assert_eq!(bed.store.remembered_user("ada").await.unwrap(), Some(Remembered::Nobody));
    let key = bed.store.keys().user("ada");
    let life = bed.life(&key).await;
    assert!((25_000..=30_000).contains(&life), "{life}");

    bed.store.remember_user("ada", Remembered::Id(ADA)).await.unwrap();
    bed.store.remember_user("ada", Remembered::Nobody).await.unwrap();
    assert_eq!(bed.store.remembered_user("ada").await.unwrap(), Some(Remembered::Id(ADA)));
    assert!(bed.life(&key).await > 30_000);

    let _: String = bed.ask(&["SET", &key, "no id"]).await;
    assert_eq!(bed.store.remembered_user("ada").await.unwrap(), None, "what nobody can read is looked up again");
}

#[tokio::test]
async fn a_dead_id_is_forgotten_and_a_newer_one_is_not() {
    let bed = Bed::new().await;
    bed.store.remember_user("ada", Remembered::Id(OTHER)).await.unwrap();
    assert!(!bed.store.forget_user("ada", Some(ADA)).await.unwrap());
    assert_eq!(bed.store.remembered_user("ada").await.unwrap(), Some(Remembered::Id(OTHER)));
    assert!(bed.store.forget_user("ada", Some(OTHER)).await.unwrap());
    assert_eq!(bed.store.remembered_user("ada").await.unwrap(), None);
    assert!(!bed.store.forget_user("ada", None).await.unwrap());
    bed.store.remember_user("ada", Remembered::Nobody).await.unwrap();
    assert!(bed.store.forget_user("ada", None).await.unwrap());
}
