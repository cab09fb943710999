//! What consumers read: one entry per step of a prompt, as CloudEvents 1.0 attributes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::ids::{Conversation, PromptId};
use super::phase::Phase;

/// The kinds of entry, in the order in which a prompt's entries stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryType {
    /// The relay took it.
    Accepted,
    /// Omni took it.
    Submitted,
    /// How far Omni is; the only type of which a prompt may have several.
    Progress,
    /// An operator has to look; the answer may still come.
    Delayed,
    /// The answer.
    Answer,
    /// No answer will come.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It took too long.
    Expired,
}

impl EntryType {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Submitted,
        Self::Progress,
        Self::Delayed,
        Self::Answer,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// The CloudEvents `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "omni.prompt.accepted",
            Self::Submitted => "omni.job.submitted",
            Self::Progress => "omni.job.progress",
            Self::Delayed => "omni.delayed",
            Self::Answer => "omni.answer",
            Self::Failed => "omni.failed",
            Self::Cancelled => "omni.cancelled",
            Self::Expired => "omni.expired",
        }
    }

    /// What it tells, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Accepted => "The relay took it; best effort.",
            Self::Submitted => "Omni took it; best effort.",
            Self::Progress => "How far Omni is; best effort, and only where the prompt asked for it.",
            Self::Delayed => "It is a dead letter; the answer may still come.",
            Self::Answer => "The answer.",
            Self::Failed => "No answer will come.",
            Self::Cancelled => "It was cancelled: by a call here, or its job at Omni.",
            Self::Expired => "It waited too long, or its job ran too long.",
        }
    }

    /// The type that `text` names.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The phase a prompt has once this entry is out; `None` for the steps before the end.
    pub const fn ends_in(self) -> Option<Phase> {
        match self {
            Self::Answer => Some(Phase::Answered),
            Self::Failed => Some(Phase::Failed),
            Self::Cancelled => Some(Phase::Cancelled),
            Self::Expired => Some(Phase::Expired),
            Self::Accepted | Self::Submitted | Self::Progress | Self::Delayed => None,
        }
    }

    /// Whether nothing follows it.
    pub const fn is_terminal(self) -> bool {
        self.ends_in().is_some()
    }

    /// Where it stands among a prompt's entries: an entry is refused once a later one is out.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Accepted => 1,
            // It stands for `omni.job.submitted` where that is missing.
            Self::Submitted | Self::Progress => 2,
            Self::Delayed => 3,
            Self::Answer | Self::Failed | Self::Cancelled | Self::Expired => 9,
        }
    }
}

/// The field of an entry's trace context.
pub const TRACE: &str = "traceparent";

/// One entry. Its fields in Redis are exactly [`Entry::fields`].
#[derive(Clone)]
pub struct Entry {
    /// `<promptId>:<type>`, for progress `:<iteration>` behind it: the same in the conversation's stream, in `answers` and
    /// after a replay.
    pub id: String,
    /// `/omni-relay/<namespace>`.
    pub source: String,
    /// What kind.
    pub kind: EntryType,
    /// The conversation.
    pub subject: Conversation,
    /// When it was written.
    pub time: Timestamp,
    /// The W3C trace context it was published under, where spans are exported.
    pub trace: Option<String>,
    /// JSON.
    pub data: String,
}

/// Data is the customer's.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Entry {
    /// An entry of `about` with the given data.
    pub fn new(kind: EntryType, about: &About<'_>, now: Timestamp, data: &Data) -> Self {
        Self {
            id: format!("{}:{}", about.prompt_id, kind.as_str()),
            source: format!("/omni-relay/{}", about.namespace),
            kind,
            subject: about.conversation.clone(),
            time: now,
            trace: None,
            data: data.text(),
        }
    }

    /// An entry that tells how far the job is.
    pub fn progress(iteration: usize, about: &About<'_>, now: Timestamp, data: &Data) -> Self {
        let entry = Self::new(EntryType::Progress, about, now, data);
        Self { id: format!("{}:{iteration}", entry.id), ..entry }
    }

    /// The fields of the Redis entry, CloudEvents attribute by attribute.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("specversion", "1.0".to_owned()),
            ("id", self.id.clone()),
            ("source", self.source.clone()),
            ("type", self.kind.as_str().to_owned()),
            ("subject", self.subject.to_string()),
            ("time", self.time.to_string()),
            ("datacontenttype", "application/json".to_owned()),
            ("data", self.data.clone()),
        ];
        fields.extend(self.trace.clone().map(|trace| (TRACE, trace)));
        fields
    }
}

/// What `data` holds: each member as JSON, so that what Omni sent is passed on as it came.
#[derive(Clone, Default)]
pub struct Data(BTreeMap<&'static str, Box<RawValue>>);

impl Data {
    /// Sets a member.
    pub fn put(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        self.0.insert(name, to_raw_value(value).expect("a member is JSON"));
    }

    /// Sets a member to a value that came as JSON: as it is, where that is one line of plain text, which is what readers of
    /// lines can be given; otherwise written anew. `None` where it cannot be read.
    pub fn pass(&mut self, name: &'static str, value: Box<RawValue>) -> Option<()> {
        let text = value.get();
        if text.contains('\n') || text.contains('\r') || text.contains("\\u") {
            self.put(name, &serde_json::from_str::<Value>(text).ok()?);
        } else {
            self.0.insert(name, value);
        }
        Some(())
    }

    /// The same without a member.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// Bytes of its text.
    pub fn size(&self) -> usize {
        // Beside each member two quotes, a colon, and a comma or the brace in front.
        let members = self.0.iter().map(|(name, value)| name.len() + value.get().len() + 4);
        members.sum::<usize>().max(1) + 1
    }

    /// One JSON object.
    pub fn text(&self) -> String {
        serde_json::to_string(&self.0).expect("members are JSON")
    }
}

/// The CloudEvents JSON form of a stored entry's fields; `data` is embedded as it stands.
pub fn to_cloud_event<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Box<RawValue>> {
    let mut event = BTreeMap::new();
    for (name, value) in fields {
        let raw = match name {
            "data" => RawValue::from_string(value.to_owned()).ok()?,
            _ => to_raw_value(value).ok()?,
        };
        event.insert(name, raw);
    }
    to_raw_value(&event).ok()
}

/// What the entries of one prompt have in common.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// The relay's namespace.
    pub namespace: &'a str,
    /// Which prompt.
    pub prompt_id: PromptId,
    /// Whose conversation.
    pub conversation: &'a Conversation,
    /// Omni's job, once known.
    pub job_id: Option<&'a str>,
    /// Omni's conversation, once known.
    pub conversation_id: Option<&'a str>,
    /// Where a person can look at it in Omni.
    pub chat_url: Option<&'a str>,
    /// The caller's metadata.
    pub metadata: Option<&'a Map<String, Value>>,
}

impl About<'_> {
    /// The members of `data` that every entry has.
    pub fn data(&self) -> Data {
        let mut data = Data::default();
        data.put("promptId", &self.prompt_id);
        data.put("conversation", self.conversation.key());
        let optional =
            [("jobId", self.job_id), ("conversationId", self.conversation_id), ("omniChatUrl", self.chat_url)];
        for (name, value) in optional {
            if let Some(value) = value {
                data.put(name, value);
            }
        }
        data.put("metadata", self.metadata.unwrap_or(&Map::new()));
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_back_and_end_where_they_should() {
        for kind in EntryType::ALL {
            assert_eq!(EntryType::parse(kind.as_str()), Some(kind));
            assert_eq!(kind.is_terminal(), kind.rank() == 9);
        }
    }

    #[test]
    fn data_is_passed_on_as_it_came_on_one_line() {
        let mut data = Data::default();
        assert_eq!((data.text(), data.size()), ("{}".to_owned(), 2));
        let pass = |data: &mut Data, text: &str| data.pass("b", RawValue::from_string(text.to_owned()).unwrap());
        assert!(pass(&mut data, "[ 1.50, \"é\" ]").is_some());
        assert_eq!(data.text(), "{\"b\":[ 1.50, \"é\" ]}");
        data.put("a", "x\ny");
        assert_eq!(data.text(), "{\"a\":\"x\\ny\",\"b\":[ 1.50, \"é\" ]}");
        assert_eq!(data.size(), data.text().len());
        assert!(pass(&mut data, "[\r\n1, \"\\u00e9\"]").is_some());
        assert_eq!(data.clone().without("a").text(), "{\"b\":[1,\"é\"]}");
        assert!(pass(&mut data, "\"\\ud800\"").is_none(), "half a character is none");
    }

    #[test]
    fn an_entry_is_a_cloud_event() {
        let conversation = Conversation::from_full("acme/t-1").unwrap();
        let prompt_id = PromptId::new(Timestamp::UNIX_EPOCH);
        let about = About {
            namespace: "relay",
            prompt_id,
            conversation: &conversation,
            job_id: Some("j"),
            conversation_id: None,
            chat_url: None,
            metadata: None,
        };
        let entry = Entry::new(EntryType::Submitted, &about, Timestamp::UNIX_EPOCH, &about.data());
        let fields = entry.fields();
        let event = to_cloud_event(fields.iter().map(|(name, value)| (*name, value.as_str()))).unwrap();
        let event: Value = serde_json::from_str(event.get()).unwrap();
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["id"], format!("{prompt_id}:omni.job.submitted"));
        assert_eq!(event["subject"], "acme/t-1");
        assert_eq!(event["source"], "/omni-relay/relay");
        assert_eq!(event["data"]["conversation"], "t-1");
        assert_eq!(event["data"]["jobId"], "j");
        assert_eq!(event["data"].get("conversationId"), None);
    }
}
