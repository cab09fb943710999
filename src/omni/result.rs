//! Fetch the result of a complete job: one JSON object, whatever its content type says.

use std::fmt;

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::api_key::ApiKey;
use super::classify::Operation;
use super::client::Omni;
use super::error::OmniError;
use super::lenient::{self, Member};

/// A result, kept as it came: members that are not named here survive in `raw`.
#[derive(Clone)]
pub struct JobResult {
    /// The answer in Markdown; where there is none, the summary.
    pub message: Option<String>,
    pub topic: Option<String>,
    pub omni_chat_url: Option<String>,
    /// The steps as Omni sent them: an array.
    pub actions: Option<Box<RawValue>>,
    /// Whether some step failed, was left out or had its data cut: a complete job need not be a complete answer.
    pub partial: bool,
    /// The whole result as Omni sent it: a JSON object.
    pub raw: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    message: Member<'a>,
    #[serde(borrow)]
    result_summary: Member<'a>,
    #[serde(borrow)]
    topic: Member<'a>,
    #[serde(borrow)]
    actions: Member<'a>,
    #[serde(borrow)]
    omni_chat_url: Member<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action<'a> {
    #[serde(borrow, rename = "type")]
    kind: Member<'a>,
    #[serde(borrow)]
    status: Member<'a>,
    #[serde(borrow)]
    is_error: Member<'a>,
    #[serde(borrow)]
    result: Member<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryResult<'a> {
    #[serde(borrow)]
    status: Member<'a>,
    #[serde(borrow)]
    csv_result_was_truncated: Member<'a>,
}

impl Omni {
    /// [`OmniError::NotReady`] right after completion is normal.
    pub async fn result(&self, key: &ApiKey, job_id: Uuid) -> Result<JobResult, OmniError> {
        let request = self.request(Method::GET, key, &format!("/api/v1/ai/jobs/{job_id}/result"));
        JobResult::read(self.call(Operation::Result, request, self.result_max_bytes()).await?)
    }
}

impl JobResult {
    /// What is left of a result that Omni did not keep: the summary in its status. It is not the whole answer.
    pub fn from_summary(summary: String) -> Self {
        let raw = serde_json::json!({"message": summary, "resultSummary": summary}).to_string();
        Self { message: Some(summary), topic: None, omni_chat_url: None, actions: None, partial: true, raw }
    }

    pub(crate) fn read(body: Vec<u8>) -> Result<Self, OmniError> {
        let bad = |what| OmniError::BadBody { what };
        let raw = String::from_utf8(body).map_err(|_| bad("the result is no text"))?;
        let wire: Wire<'_> = serde_json::from_str(&raw).map_err(|_| bad("the result is no object"))?;
        Ok(Self {
            message: lenient::text(wire.message).or_else(|| lenient::text(wire.result_summary)),
            topic: lenient::text(wire.topic),
            omni_chat_url: lenient::text(wire.omni_chat_url),
            actions: wire.actions.filter(|actions| actions.get().starts_with('[')).map(RawValue::to_owned),
            partial: wire.actions.is_some_and(any_step_fell_short),
            raw,
        })
    }
}

fn any_step_fell_short(actions: &RawValue) -> bool {
    serde_json::from_str::<Vec<&RawValue>>(actions.get())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|action| serde_json::from_str::<Action<'_>>(action.get()).ok())
        .any(|action| action.fell_short())
}

impl Action<'_> {
    fn fell_short(&self) -> bool {
        is_one_of(self.status, &["failed", "partial", "skipped", "pending"])
            || is_one_of(self.kind, &["failure"])
            || lenient::read(self.is_error).unwrap_or(false)
            || self.result.and_then(|result| serde_json::from_str(result.get()).ok()).is_some_and(query_fell_short)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of the parsed value")]
fn query_fell_short(result: QueryResult<'_>) -> bool {
    is_one_of(result.status, &["error"]) || lenient::read(result.csv_result_was_truncated).unwrap_or(false)
}

fn is_one_of(member: Member<'_>, words: &[&str]) -> bool {
    lenient::text(member).is_some_and(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)))
}

impl fmt::Debug for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.raw.len();
        f.debug_struct("JobResult").field("bytes", &bytes).field("partial", &self.partial).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> JobResult {
        JobResult::read(body.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn everything_is_optional_and_nothing_is_lost() {
        let empty = read("{}");
        assert_eq!((empty.message, empty.topic, empty.omni_chat_url), (None, None, None));
        assert!(empty.actions.is_none() && !empty.partial);

        let full =
            r#" {"message":"","resultSummary":"s","topic":"t","actions":[ {"type":"x","new":1.50} ],"more":{}} "#;
        let result = read(full);
        assert_eq!((result.message.as_deref(), result.topic.as_deref()), (Some("s"), Some("t")));
        assert_eq!(result.actions.unwrap().get(), r#"[ {"type":"x","new":1.50} ]"#);
        assert_eq!(result.raw, full);
    }

    #[test]
    fn a_step_that_fell_short_makes_the_answer_partial() {
        for action in [
            r#"{"status":"failed"}"#,
            r#"{"status":"PARTIAL"}"#,
            r#"{"status":"skipped"}"#,
            r#"{"status":"pending"}"#,
            r#"{"type":"failure","toolName":"x"}"#,
            r#"{"isError":true}"#,
            r#"{"type":"generate_query","result":{"status":"error","error":{"message":"m"}}}"#,
            r#"{"type":"generate_query","result":{"status":"success","csvResultWasTruncated":true}}"#,
        ] {
            assert!(read(&format!(r#"{{"actions":[{{"type":"summarize"}},{action}]}}"#)).partial, "{action}");
        }
        for action in [
            r#"{"status":"complete"}"#,
            r#"{"type":"generate_query","result":{"status":"success","csvResultWasTruncated":false}}"#,
            r#"{"isError":"no","result":"text"}"#,
            "7",
        ] {
            assert!(!read(&format!(r#"{{"actions":[{action}]}}"#)).partial, "{action}");
        }
        assert!(!read(r#"{"actions":"none"}"#).partial);
        assert!(read(r#"{"actions":"none"}"#).actions.is_none());
    }

    #[test]
    fn what_is_no_object_is_refused_without_a_word_of_it() {
        for body in ["", "data: {}", "[1]", "\"ACME\"", "{\"message\":"] {
            let error = JobResult::read(body.as_bytes().to_vec()).unwrap_err();
            assert!(matches!(error, OmniError::BadBody { .. }), "{body}");
            assert!(!format!("{error} {error:?}").contains("ACME"));
        }
        assert!(JobResult::read(vec![0xff]).is_err());
    }
}
