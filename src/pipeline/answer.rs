//! What an answer's entry holds, and what of it is claimed elsewhere.

use serde_json::{Map, Value, json};

use crate::model::entry::text;
use crate::omni::JobResult;

/// Largest message that an entry keeps when the rest is claimed elsewhere, in bytes.
const MESSAGE: usize = 64 * 1024;
/// Largest `data` of an entry of `answers`, in bytes.
pub(super) const ANSWERS: usize = 64 * 1024;

/// An answer's `data` in full, and the reduced form with a claim check.
pub(super) struct Answer {
    /// For the conversation.
    pub(super) data: Map<String, Value>,
    /// For `answers`, where that is another.
    pub(super) brief: Option<Map<String, Value>>,
    /// The result, where one of them only refers to it.
    pub(super) payload: Option<String>,
}

/// Builds both forms on top of the members that every entry has. `key` is where the payload will stand.
pub(super) fn answer(
    base: Map<String, Value>,
    result: &JobResult,
    fallback: Option<&str>,
    key: &str,
    inline: usize,
) -> Answer {
    let raw = result.raw().get();
    let message = result.message().or(fallback).unwrap_or_default();
    let mut data = base;
    if let Some(url) = result.omni_chat_url() {
        data.entry("omniChatUrl").or_insert_with(|| url.into());
    }
    data.insert("message".to_owned(), message.into());
    if let Some(topic) = result.topic() {
        data.insert("topic".to_owned(), topic.into());
    }
    data.insert("partial".to_owned(), (result.partial() || fallback.is_some()).into());

    let reference = json!({"key": key, "bytes": raw.len()});
    let brief = |data: &Map<String, Value>| {
        let mut brief = data.clone();
        brief.insert("message".to_owned(), cut(message, MESSAGE / 2).into());
        brief.insert("resultRef".to_owned(), reference.clone());
        Some(brief)
    };
    if raw.len() > inline {
        let brief = brief(&data);
        data.insert("message".to_owned(), cut(message, MESSAGE).into());
        data.insert("resultRef".to_owned(), reference);
        return Answer { data, brief, payload: Some(raw.to_owned()) };
    }
    let actions = result.actions().and_then(|actions| serde_json::from_str(actions.get()).ok());
    data.insert("actions".to_owned(), actions.unwrap_or_else(|| json!([])));
    if text(&data).len() <= ANSWERS {
        return Answer { data, brief: None, payload: None };
    }
    let actions = data.remove_entry("actions");
    let brief = brief(&data);
    data.extend(actions);
    Answer { data, brief, payload: Some(raw.to_owned()) }
}

/// At most `limit` bytes, cut between characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(message: &str, csv: &str) -> JobResult {
        let body = json!({"message": message, "topic": "orders", "future": 1,
            "actions": [{"type": "generate_query", "message": "m", "timestamp": "t", "result": {"csvResult": csv}}]});
        JobResult::read(body.to_string().into_bytes()).unwrap()
    }

    #[test]
    fn a_small_answer_stands_whole_in_both() {
        let answer = answer(Map::new(), &result("hi", "a,b"), None, "k", 256 * 1024);
        assert_eq!(answer.data["message"], "hi");
        assert_eq!(answer.data["topic"], "orders");
        assert_eq!(answer.data["actions"][0]["result"]["csvResult"], "a,b");
        assert!(answer.brief.is_none() && answer.payload.is_none());
    }

    #[test]
    fn a_middling_answer_is_whole_for_its_conversation_and_brief_for_workers() {
        let answer = answer(Map::new(), &result("hi", &"x".repeat(100 * 1024)), None, "k", 256 * 1024);
        assert!(answer.data.get("resultRef").is_none());
        assert_eq!(answer.data["actions"][0]["type"], "generate_query");
        let brief = answer.brief.unwrap();
        assert_eq!(brief["resultRef"]["key"], "k");
        assert!(brief.get("actions").is_none() && text(&brief).len() <= ANSWERS);
        assert!(answer.payload.is_some());
    }

    #[test]
    fn a_huge_answer_is_a_claim_check_for_both() {
        let answer = answer(Map::new(), &result(&"é".repeat(200 * 1024), ""), None, "k", 1024);
        assert_eq!(answer.data["message"].as_str().unwrap().len(), MESSAGE);
        assert_eq!(answer.data["resultRef"]["bytes"], answer.payload.as_ref().unwrap().len());
        assert!(answer.data.get("actions").is_none());
    }
}
