//! What a webhook says, once it is known to be Omni's: a hint that is checked with Omni, never the answer itself.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::lenient::{self, Member};
use super::progress::Progress;
use crate::model::JobState;

/// A webhook's body. Every member may be missing; those of no use to us are left out.
#[derive(Clone, PartialEq)]
pub struct Event {
    /// Opaque.
    pub event_id: Option<String>,
    pub job_id: Option<Uuid>,
    pub status: Option<JobState>,
    /// What we sent along with the create.
    pub metadata: Map<String, Value>,
    /// Why a job was denied.
    pub reason: Option<String>,
    /// A report on the way: `status` is then never final. Its body is not published.
    pub progress: Option<Progress>,
}

/// Signed by us and Omni's secret, and yet not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read the webhook's body as a json object")]
pub struct MalformedEvent;

/// Both spellings of every name: Omni itself mixes them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    event_id: Member<'a>,
    #[serde(borrow, rename = "event_id")]
    event_id_snake: Member<'a>,
    #[serde(borrow)]
    job_id: Member<'a>,
    #[serde(borrow, rename = "job_id")]
    job_id_snake: Member<'a>,
    #[serde(borrow)]
    status: Member<'a>,
    #[serde(borrow)]
    state: Member<'a>,
    #[serde(borrow)]
    event: Member<'a>,
    #[serde(borrow, rename = "type")]
    kind: Member<'a>,
    #[serde(borrow)]
    event_type: Member<'a>,
    #[serde(borrow, rename = "event_type")]
    event_type_snake: Member<'a>,
    #[serde(borrow)]
    metadata: Member<'a>,
    #[serde(borrow)]
    webhook_metadata: Member<'a>,
    #[serde(borrow)]
    reason: Member<'a>,
    #[serde(borrow)]
    progress: Member<'a>,
}

impl Event {
    pub fn read(body: &[u8]) -> Result<Self, MalformedEvent> {
        let wire: Wire<'_> = serde_json::from_slice(body).map_err(|_| MalformedEvent)?;
        let name = [wire.event, wire.kind, wire.event_type, wire.event_type_snake].into_iter().find_map(lenient::text);
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let word = lenient::text(wire.status).or_else(|| lenient::text(wire.state));
        let (status, on_the_way) = meaning(&name, word.as_deref(), wire.progress.is_some());
        let inner = || wire.progress.and_then(|progress| Progress::read(progress.get().as_bytes()));
        let counted = |progress: &Progress| progress.iteration.is_some();
        let progress = || inner().filter(counted).or_else(|| Progress::read(body)).unwrap_or_default();
        Ok(Self {
            event_id: lenient::text(wire.event_id_snake).or_else(|| lenient::text(wire.event_id)),
            job_id: lenient::read(wire.job_id).or_else(|| lenient::read(wire.job_id_snake)),
            status,
            metadata: lenient::read(wire.metadata).or_else(|| lenient::read(wire.webhook_metadata)).unwrap_or_default(),
            reason: lenient::text(wire.reason),
            progress: on_the_way.then(progress),
        })
    }
}

/// The state an event reports, and whether it is a report on the way. `name` is in lower case.
fn meaning(name: &str, status: Option<&str>, has_progress: bool) -> (Option<JobState>, bool) {
    let status = status.map(JobState::parse);
    if name.contains("progress") {
        // `status` may be that of a step: it cannot finish the job.
        return (status.filter(|state| !state.is_final()), true);
    }
    let named = name.strip_prefix("job.").map(JobState::parse).filter(JobState::is_final);
    let state = match (named, status) {
        // What state a denied job is in is not published; the name says more.
        (Some(JobState::Denied), _) => Some(JobState::Denied),
        (named, status) => status.or(named),
    };
    let progress = has_progress && !state.as_ref().is_some_and(JobState::is_final);
    (state, progress)
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("event_id", &self.event_id)
            .field("job_id", &self.job_id)
            .field("status", &self.status)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Event {
        Event::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn the_published_example() {
        let event = read(
            r#"{"event_id":"evt_550e8400_COMPLETE_1706123456","jobId":"550e8400-e29b-41d4-a716-446655440000",
                "status":"COMPLETE","result_summary":"Summary text","metadata":{"trackingId":"task-123"},
                "completed_at":"2025-01-24T10:30:00Z"}"#,
        );
        assert_eq!(event.event_id.as_deref(), Some("evt_550e8400_COMPLETE_1706123456"));
        assert_eq!(event.job_id.unwrap().to_string(), "550e8400-e29b-41d4-a716-446655440000");
        assert_eq!(event.status, Some(JobState::Complete));
        assert_eq!(event.metadata["trackingId"], "task-123");
        assert!(event.progress.is_none());
    }

    #[test]
    fn the_other_spelling_means_the_same() {
        let id = Uuid::from_u128(5);
        let one = read(&format!(r#"{{"event_id":"e","job_id":"{id}","state":"failed"}}"#));
        let other = read(&format!(r#"{{"eventId":"e","jobId":"{id}","status":"FAILED","new":1}}"#));
        assert_eq!(one, other);
        assert_eq!(one.status, Some(JobState::Failed));
    }

    #[test]
    fn the_state_from_the_status_or_from_the_events_name() {
        for (body, state, progress) in [
            (r#"{"event":"job.complete"}"#, Some(JobState::Complete), false),
            (r#"{"type":"job.failed"}"#, Some(JobState::Failed), false),
            (r#"{"event_type":"JOB.DENIED"}"#, Some(JobState::Denied), false),
            (r#"{"event":"job.denied","status":"FAILED"}"#, Some(JobState::Denied), false),
            (r#"{"status":"DENIED"}"#, Some(JobState::Denied), false),
            (r#"{"event":"job.complete","status":"FAILED"}"#, Some(JobState::Failed), false),
            (r#"{"event":"job.progress","status":"COMPLETE"}"#, None, true),
            (r#"{"event":"job.progress","state":"EXECUTING"}"#, Some(JobState::Executing), true),
            (r#"{"state":"EXECUTING","progress":{"iteration":1}}"#, Some(JobState::Executing), true),
            (r#"{"status":"COMPLETE","progress":{"iteration":9}}"#, Some(JobState::Complete), false),
            (r#"{"event":"job.renamed"}"#, None, false),
            (r#"{"status":"success"}"#, Some(JobState::Unknown("success".into())), false),
            ("{}", None, false),
        ] {
            let event = read(body);
            assert_eq!((event.status, event.progress.is_some()), (state, progress), "{body}");
        }
    }

    #[test]
    fn a_report_on_the_way_is_read_wherever_it_says_how_far_it_is() {
        for (body, iteration, message) in [
            (r#"{"progress":{"iteration":2,"message":"m","updatedAt":"2025-01-15T10:00:08Z"}}"#, Some(2), Some("m")),
            (r#"{"event":"job.progress","iteration":"3","message":"m"}"#, Some(3), Some("m")),
            (r#"{"type":"progress","progress":{"percent":7},"iteration":4,"updated_at":7}"#, Some(4), None),
            (r#"{"progress":{"iteration":-1,"message":["m"]}}"#, None, None),
            (r#"{"progress":42}"#, None, None),
        ] {
            let progress = read(body).progress.unwrap();
            assert_eq!((progress.iteration, progress.message.as_deref()), (iteration, message), "{body}");
            assert!(!format!("{:?} {progress:?}", read(body)).contains("\"m\""), "data of the customer");
        }
    }

    #[test]
    fn members_of_a_wrong_type_are_absent() {
        let event = read(r#"{"event_id":5,"jobId":"no uuid","status":[],"metadata":"m"}"#);
        assert_eq!(event, read("{}"));
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for body in [&b"[1]"[..], b"", b"\"text\"", b"{\"a\":", b"\xff\xfe", b"null", b"{} {}"] {
            assert_eq!(Event::read(body), Err(MalformedEvent), "{body:?}");
        }
    }
}
