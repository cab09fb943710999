//! What an answer's entry holds, and what of it is claimed elsewhere.

use serde_json::json;

use super::ending::End;
use crate::model::EntryType;
use crate::model::entry::Data;
use crate::omni::JobResult;

/// Largest message that an entry keeps when the rest is claimed elsewhere, in bytes.
const MESSAGE: usize = 64 * 1024;
/// Largest `data` of an entry of `answers`, in bytes.
pub(super) const ANSWERS: usize = 64 * 1024;

/// An answer, in full for its conversation and, where that is too large, brief for `answers`: on top of `data`, the members that
/// every entry has. `key` is where the payload will stand.
pub(super) fn answer(mut data: Data, result: JobResult, key: &str, inline: usize) -> End {
    let kind = EntryType::Answer;
    let JobResult { message, topic, actions, partial, raw, .. } = result;
    let message = message.as_deref().unwrap_or_default();
    data.put("message", message);
    if let Some(topic) = topic {
        data.put("topic", &topic);
    }
    data.put("partial", &partial);

    let refer = |data: &Data, message: &str| {
        let mut data = data.clone().without("actions");
        data.put("message", message);
        data.put("resultRef", &json!({"key": key, "bytes": raw.len()}));
        data
    };
    if raw.len() > inline {
        let brief = refer(&data, cut(message, MESSAGE / 2));
        return End { kind, data: refer(&data, cut(message, MESSAGE)), brief: Some(brief), payload: Some(raw) };
    }
    if actions.and_then(|actions| data.pass("actions", actions)).is_none() {
        data.put("actions", &json!([]));
    }
    if data.size() <= ANSWERS {
        return End { kind, data, brief: None, payload: None };
    }
    let brief = refer(&data, cut(message, MESSAGE / 2));
    End { kind, data, brief: Some(brief), payload: Some(raw) }
}

/// At most `limit` bytes, cut between characters.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(data: &Data) -> Value {
        serde_json::from_str(&data.text()).unwrap()
    }

    fn result(message: &str, csv: &str) -> JobResult {
        let body = json!({"message": message, "topic": "orders", "future": 1,
            "actions": [{"type": "generate_query", "message": "m", "timestamp": "t", "result": {"csvResult": csv}}]});
        JobResult::read(body.to_string().into_bytes()).unwrap()
    }

    #[test]
    fn a_small_answer_stands_whole_in_both() {
        let answer = answer(Data::default(), result("hi", "a,b"), "k", 256 * 1024);
        let data = read(&answer.data);
        assert_eq!(data["message"], "hi");
        assert_eq!(data["topic"], "orders");
        assert_eq!(data["actions"][0]["result"]["csvResult"], "a,b");
        assert!(answer.brief.is_none() && answer.payload.is_none());
    }

    #[test]
    fn actions_are_passed_on_to_the_digit() {
        let result = JobResult::read(br#"{"message":"hi","actions":[ {"total":1.50} ]}"#.to_vec()).unwrap();
        let answer = answer(Data::default(), result, "k", 1024);
        assert!(answer.data.text().contains(r#""actions":[ {"total":1.50} ]"#));
    }

    #[test]
    fn a_middling_answer_is_whole_for_its_conversation_and_brief_for_workers() {
        let answer = answer(Data::default(), result("hi", &"x".repeat(100 * 1024)), "k", 256 * 1024);
        let data = read(&answer.data);
        assert!(data.get("resultRef").is_none());
        assert_eq!(data["actions"][0]["type"], "generate_query");
        let brief = answer.brief.unwrap();
        assert!(brief.size() <= ANSWERS);
        let brief = read(&brief);
        assert_eq!(brief["resultRef"]["key"], "k");
        assert!(brief.get("actions").is_none());
        assert!(answer.payload.is_some());
    }

    #[test]
    fn a_huge_answer_is_a_claim_check_for_both() {
        let answer = answer(Data::default(), result(&"é".repeat(200 * 1024), ""), "k", 1024);
        let data = read(&answer.data);
        assert_eq!(data["message"].as_str().unwrap().len(), MESSAGE);
        assert_eq!(data["resultRef"]["bytes"], answer.payload.as_ref().unwrap().len());
        assert!(data.get("actions").is_none());
    }
}
