//! From what happened on the wire to an [`OmniError`]: the one place that knows what a failure says of a request.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::detail::Detail;
use super::error::{Doubt, OmniError, TransportError};
use super::retry_after::retry_after;

/// The calls, as metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Status,
    Result,
    Cancel,
    Chart,
    Feedback,
    Users,
    Session,
    Conversations,
    Conversation,
    Mcp,
}

impl Operation {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Status => "status",
            Self::Result => "result",
            Self::Cancel => "cancel",
            Self::Chart => "chart",
            Self::Feedback => "feedback",
            Self::Users => "users",
            Self::Session => "session",
            Self::Conversations => "conversations",
            Self::Conversation => "conversation",
            Self::Mcp => "mcp",
        }
    }
}

/// The request, or the reading of its answer, failed below HTTP.
pub(super) fn transport(operation: Operation, error: TransportError) -> OmniError {
    if error.before_the_first_byte() {
        OmniError::NotSent(error)
    } else if operation != Operation::Create {
        OmniError::Interrupted(error)
    } else if error.is_timeout() {
        OmniError::UnknownOutcome(Doubt::Timeout(error))
    } else {
        OmniError::UnknownOutcome(Doubt::Lost(error))
    }
}

/// A status that is no success.
pub(super) fn status(operation: Operation, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> OmniError {
    use Operation::{Cancel, Chart, Create, Feedback, Result, Status};
    match (operation, status.as_u16()) {
        (_, 300..=399) => OmniError::Redirected { status },
        (_, 401) => OmniError::Unauthorized,
        (_, 429) => OmniError::Throttled { retry_after: retry_after(headers) },
        (Result, 404 | 409 | 425) => OmniError::NotReady { status },
        (Status | Cancel | Chart | Feedback, 404) => OmniError::NotFound,
        (_, 409) => OmniError::Conflict { detail: Detail::read(body) },
        (_, 400..=499) if !matches!(status.as_u16(), 408 | 425) => {
            OmniError::Refused { status, detail: Detail::read(body) }
        }
        (Create, _) => OmniError::UnknownOutcome(Doubt::Status(status)),
        _ => OmniError::Server { status, retry_after: retry_after(headers) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Operation; 11] = [
        Operation::Create,
        Operation::Status,
        Operation::Result,
        Operation::Cancel,
        Operation::Chart,
        Operation::Feedback,
        Operation::Users,
        Operation::Session,
        Operation::Conversations,
        Operation::Conversation,
        Operation::Mcp,
    ];

    fn kind(operation: Operation, code: u16) -> &'static str {
        status(operation, StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), b"").kind()
    }

    #[test]
    fn what_means_the_same_everywhere() {
        for operation in ALL {
            for (code, expected) in [
                (301, "redirected"),
                (302, "redirected"),
                (307, "redirected"),
                (400, "refused"),
                (401, "unauthorized"),
                (402, "refused"),
                (403, "refused"),
                (410, "refused"),
                (422, "refused"),
                (429, "throttled"),
            ] {
                assert_eq!(kind(operation, code), expected, "{operation:?} {code}");
            }
        }
    }

    #[test]
    fn what_depends_on_the_call() {
        use Operation::{Cancel, Chart, Conversation, Create, Feedback, Result, Session, Status, Users};
        for (operation, code, expected) in [
            (Create, 404, "refused"),
            (Create, 409, "conflict"),
            (Cancel, 404, "not_found"),
            (Cancel, 409, "conflict"),
            (Chart, 404, "not_found"),
            (Feedback, 404, "not_found"),
            (Feedback, 409, "conflict"),
            (Status, 404, "not_found"),
            (Status, 409, "conflict"),
            (Result, 404, "not_ready"),
            (Result, 409, "not_ready"),
            (Result, 425, "not_ready"),
            (Users, 404, "refused"),
            (Session, 404, "refused"),
            (Conversation, 404, "refused"),
        ] {
            assert_eq!(kind(operation, code), expected, "{operation:?} {code}");
        }
    }

    #[test]
    fn only_a_create_can_be_in_doubt() {
        for code in [408, 425, 500, 502, 503, 504, 599] {
            assert_eq!(kind(Operation::Create, code), "unknown_outcome", "{code}");
            for operation in ALL.into_iter().filter(|one| !matches!(one, Operation::Create | Operation::Result)) {
                assert_eq!(kind(operation, code), "server", "{operation:?} {code}");
            }
        }
    }
}
