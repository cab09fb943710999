//! progress: each iteration is told once, in order, and before what comes later.

use futures_util::future::join_all;
use jiff::Timestamp;
use omni_relay::model::entry::About;
use omni_relay::model::{Entry, EntryType, PromptId};
use serde_json::{Map, json};

use super::bed::{Bed, DAY, named, new_id};

fn report(id: PromptId, iteration: usize) -> Entry {
    let (conversation, metadata) = (named("c"), Map::new());
    let about = About {
        namespace: "test",
        prompt_id: id,
        conversation: &conversation,
        job_id: None,
        conversation_id: None,
        chat_url: None,
        metadata: Some(&metadata),
    };
    let mut data = about.data();
    data.put("progress", &json!({"iteration": iteration}));
    Entry::progress(iteration, &about, Timestamp::UNIX_EPOCH, &data)
}

impl Bed {
    async fn report(&self, id: PromptId, iteration: usize) {
        self.store.progress(id, iteration, &report(id, iteration)).await.unwrap();
    }

    /// The ids of what the conversation's readers see, without the prompt's.
    async fn told(&self, id: PromptId) -> Vec<String> {
        let entries = self.store.entries(&named("c"), "0", 1000).await.unwrap();
        let ids = entries.into_iter().filter_map(|entry| entry.fields.into_iter().find(|(name, _)| name == "id"));
        ids.filter_map(|(_, value)| Some(value.strip_prefix(&format!("{id}:omni."))?.to_owned())).collect()
    }
}

#[tokio::test]
async fn iterations_only_grow_and_none_comes_twice() {
    let bed = Bed::new().await;
    let id = new_id();
    bed.publish(id, "c", EntryType::Accepted).await;
    bed.publish(id, "c", EntryType::Submitted).await;
    for iteration in [0, 1, 1, 3, 2, 3, 10, 9, 11] {
        bed.report(id, iteration).await;
    }
    let progress = ["0", "1", "3", "10", "11"].map(|iteration| format!("job.progress:{iteration}"));
    assert_eq!(bed.told(id).await[2..], progress);
    // Another prompt of the conversation counts for itself.
    let other = new_id();
    bed.report(other, 1).await;
    assert_eq!(bed.told(other).await, ["job.progress:1"]);

    let id = new_id();
    let replicas: Vec<_> = (0..4).map(|_| bed.replica()).collect();
    let entries: Vec<Entry> = (0..10).map(|iteration| report(id, iteration)).collect();
    join_all((0..40).map(|n| replicas[n % 4].progress(id, n / 4, &entries[n / 4]))).await;
    let told = bed.told(id).await;
    let iterations: Vec<u32> = told.iter().map(|id| id.rsplit_once(':').unwrap().1.parse().unwrap()).collect();
    assert!(iterations.is_sorted_by(|one, next| one < next) && iterations.last() == Some(&9), "{iterations:?}");
}

#[tokio::test]
async fn nothing_that_is_earlier_follows_and_nothing_that_is_later_is_kept_from_following() {
    use EntryType::{Accepted, Answer, Delayed, Submitted};
    let bed = Bed::new().await;
    let id = new_id();
    // It overtakes all of them.
    bed.report(id, 1).await;
    for kind in [Accepted, Submitted] {
        let stands = bed.publish(id, "c", kind).await;
        assert!(!stands.new && stands.kind == Submitted, "{kind:?}");
    }
    assert_eq!(bed.store.terminal_entry(&named("c"), id).await.unwrap(), None, "progress is no end");
    assert!(bed.publish(id, "c", Delayed).await.new);
    bed.report(id, 2).await;
    assert!(bed.publish(id, "c", Answer).await.new);
    bed.report(id, 3).await;
    assert_eq!(bed.told(id).await, ["job.progress:1", "delayed", "answer"]);

    // What version 0.1.0 wrote stays as it is: a replica of it reads the mark.
    let id = new_id();
    let submitted = bed.publish(id, "c", Submitted).await;
    bed.report(id, 1).await;
    let mark: String = bed.ask(&["GET", &bed.store.keys().done(&named("c"), id)]).await;
    assert_eq!(mark, format!("2 omni.job.submitted {}", submitted.entry));
    let id = new_id();
    bed.report(id, 1).await;
    let mark: String = bed.ask(&["GET", &bed.store.keys().done(&named("c"), id)]).await;
    assert!(mark.starts_with("2 omni.job.submitted ") && mark.split(' ').count() == 3, "{mark}");
    let whole = i64::try_from(14 * DAY).unwrap();
    for key in [bed.store.keys().progress(&named("c"), id), bed.store.keys().done(&named("c"), id)] {
        assert!((whole - 60_000..=whole).contains(&bed.life(&key).await), "{key}");
    }
}
