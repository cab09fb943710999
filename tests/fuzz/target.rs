//! The promises of the receiver, held against one input.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequest;
use axum::response::IntoResponse;
use futures_util::stream;
use omni_relay::model::event::Correlation;
use omni_relay::omni::signature::Verifier;
use omni_relay::omni::{Verified, WebhookRejection, WebhookVerifier};
use serde_json::Value;

use crate::input::Input;
use crate::oracle::{self, NOW_MS, SECRETS, TOLERANCE_MS};

/// The receiver under test.
pub(crate) struct Target {
    state: Arc<WebhookVerifier>,
    runtime: tokio::runtime::Runtime,
}

/// What became of an input, as a set of words: inputs with the same words took, as far as one can see, the same way.
pub(crate) type Behaviour = BTreeSet<String>;

impl Target {
    pub(crate) fn new() -> Self {
        let verifier = Verifier::new(&SECRETS.map(Into::into), Duration::from_millis(TOLERANCE_MS));
        Self {
            state: Arc::new(WebhookVerifier::new(verifier, Arc::new(|| NOW_MS))),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        }
    }

    /// Panics where a promise is broken.
    pub(crate) fn hold(&self, input: &Input) -> Behaviour {
        let whole = self.extract(input, usize::MAX);
        // The way in which a body arrives changes nothing, nor does asking again.
        let pieces = self.extract(input, 1 + input.body.len() % 97);
        assert_eq!(words(&whole), words(&pieces), "two verdicts on one webhook");

        assert_eq!(whole.is_ok(), oracle::accepts(input), "the verdict is wrong: {:?}", whole.as_ref().err());
        match &whole {
            Ok(verified) => {
                assert_eq!(verified.body().as_ref(), input.body, "other bytes than those that were signed");
                understood(verified);
            }
            Err(rejection) => turned_away(*rejection),
        }
        words(&whole)
    }

    fn extract(&self, input: &Input, piece: usize) -> Result<Verified, WebhookRejection> {
        let polled = Arc::new(AtomicBool::new(false));
        let pieces: Vec<Vec<u8>> = input.body.chunks(piece).map(<[u8]>::to_vec).collect();
        let seen = polled.clone();
        let body = Body::from_stream(stream::iter(pieces.into_iter().map(move |piece| {
            seen.store(true, Ordering::Relaxed);
            Ok::<_, Infallible>(piece)
        })));
        let outcome = self.runtime.block_on(Verified::from_request(input.request(body), &self.state));
        if let Err(WebhookRejection::Signature(rejection)) = outcome
            && rejection.kind() != "mismatch"
        {
            assert!(!polled.load(Ordering::Relaxed), "a body was received whose head is no signature");
        }
        outcome
    }
}

/// An event is read the same way each time, and only from a JSON object.
fn understood(verified: &Verified) {
    let event = verified.event();
    assert_eq!(format!("{event:?}"), format!("{:?}", verified.event()));
    let is_object = serde_json::from_slice::<Value>(verified.body()).is_ok_and(|value| value.is_object());
    let Ok(event) = event else {
        // A reader that keeps every member may refuse more than one that passes over what it does not know; not less.
        return assert!(!is_object || has_twice(verified.body()), "an object was not read");
    };
    assert!(verified.body().trim_ascii_start().starts_with(b"{"));
    let final_state = event.status.as_ref().is_some_and(omni_relay::model::JobState::is_final);
    assert!(!(event.progress.is_some() && final_state), "a report on the way ends a job");
    if let Some(correlation) = Correlation::from_metadata(&event.metadata) {
        let again = Correlation::from_metadata(&correlation.to_metadata(""));
        assert_eq!(again, Some(correlation));
    }
}

/// Whether a member that is read is there twice, which is refused.
fn has_twice(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let known = ["event", "job", "status", "state", "type", "etadata", "reason", "progress", "\\u"];
    known.iter().any(|name| text.matches(name).count() > 1) || text.contains("\\u")
}

/// Whatever is wrong with a signature, its sender sees the same.
fn turned_away(rejection: WebhookRejection) {
    let signature = matches!(rejection, WebhookRejection::Signature(_));
    let response = rejection.into_response();
    assert_eq!(response.status() == 401, signature, "{rejection:?}");
    assert!(response.status().is_client_error() && response.headers().is_empty());
}

fn words(outcome: &Result<Verified, WebhookRejection>) -> Behaviour {
    let verified = match outcome {
        Ok(verified) => verified,
        Err(rejection) => return [rejection.kind().to_owned()].into(),
    };
    let Ok(event) = verified.event() else { return ["no event".to_owned()].into() };
    let state = event.status.as_ref().map(|state| {
        let known = omni_relay::model::JobState::Unknown(state.as_str().to_owned()) != *state;
        if known { state.to_string() } else { "a word".to_owned() }
    });
    let said = [
        state,
        event.event_id.map(|_| "event id".to_owned()),
        event.job_id.map(|_| "job id".to_owned()),
        event.reason.map(|_| "reason".to_owned()),
        event.progress.map(|progress| if progress.iteration.is_some() { "iteration" } else { "progress" }.to_owned()),
        Correlation::from_metadata(&event.metadata).map(|_| "ours".to_owned()),
        (!event.metadata.is_empty()).then(|| "metadata".to_owned()),
    ];
    ["event".to_owned()].into_iter().chain(said.into_iter().flatten()).collect()
}
