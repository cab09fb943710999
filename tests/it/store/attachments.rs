//! attachments: they end by themselves until their prompt is accepted, and not before they are dropped after that.

use serde_json::json;

use super::bed::{Bed, DAY, body, new_id};

#[tokio::test]
async fn they_have_an_end_until_their_prompt_is_accepted_or_sent() {
    let bed = Bed::new().await;
    let asked = body(&json!({"attachments": [{"data": "aGk=", "mimeType": "image/png", "name": "ü"}]}));
    let files = asked.attachments.unwrap();
    let whole = i64::try_from(14 * DAY).unwrap();
    for accepted in [true, false] {
        let id = new_id();
        let key = bed.store.keys().attachments(id);
        bed.store.attach(id, &files).await.unwrap();
        assert!((whole - 60_000..=whole).contains(&bed.life(&key).await));
        if accepted {
            bed.store.keep_attachments(id).await.unwrap();
            assert_eq!(bed.life(&key).await, -1);
        }
        // The relay died before it said so: whoever sends the prompt says it again.
        let loaded = bed.store.attachments(id).await.unwrap().unwrap();
        assert_eq!((loaded.get(), bed.life(&key).await), (files.json().get(), -1));
        for _ in 0..2 {
            bed.store.detach(id).await.unwrap();
            assert!(bed.store.attachments(id).await.unwrap().is_none());
        }
        assert_eq!(bed.life(&key).await, -2);
    }
}
