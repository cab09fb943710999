//! What consumers read: one entry per step of a prompt, as CloudEvents 1.0 attributes.

use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

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
    pub fn new(kind: EntryType, about: &About<'_>, now: Timestamp, data: &Map<String, Value>) -> Self {
        Self {
            id: format!("{}:{}", about.prompt_id, kind.as_str()),
            source: format!("/omni-relay/{}", about.namespace),
            kind,
            subject: about.conversation.clone(),
            time: now,
            trace: None,
            data: text(data),
        }
    }

    /// An entry that tells how far the job is.
    pub fn progress(iteration: usize, about: &About<'_>, now: Timestamp, data: &Map<String, Value>) -> Self {
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

/// An object as JSON.
pub fn text(object: &Map<String, Value>) -> String {
    serde_json::to_string(object).expect("an object of values is JSON")
}

/// The CloudEvents JSON form of a stored entry's fields; `data` is embedded as it stands.
pub fn to_cloud_event<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Box<RawValue>> {
    let mut event = std::collections::BTreeMap::new();
    for (name, value) in fields {
        let raw = match name {
            "data" => RawValue::from_string(value.to_owned()).ok()?,
            _ => serde_json::value::to_raw_value(value).ok()?,
        };
        event.insert(name, raw);
    }
    serde_json::value::to_raw_value(&event).ok()
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
    pub fn data(&self) -> Map<String, Value> {
        let mut data = Map::new();
        data.insert("promptId".to_owned(), json!(self.prompt_id));
        data.insert("conversation".to_owned(), self.conversation.key().into());
        let optional =
            [("jobId", self.job_id), ("conversationId", self.conversation_id), ("omniChatUrl", self.chat_url)];
        for (name, value) in optional {
            if let Some(value) = value {
                data.insert(name.to_owned(), value.into());
            }
        }
        data.insert("metadata".to_owned(), Value::Object(self.metadata.cloned().unwrap_or_default()));
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
