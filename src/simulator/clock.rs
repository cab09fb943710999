//! The simulator's wall clock, and how times look on its wire.

use jiff::Timestamp;

#[expect(clippy::disallowed_methods, reason = "the simulator stands outside the relay and its clock, as Omni does")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// RFC 3339 with milliseconds, as in the API's answers.
pub(super) fn millis(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// RFC 3339 without a fraction, as in webhooks.
pub(super) fn seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_rfc_3339() {
        let time = Timestamp::from_millisecond(1_737_714_600_250).unwrap();
        assert_eq!(millis(time), "2025-01-24T10:30:00.250Z");
        assert_eq!(seconds(time), "2025-01-24T10:30:00Z");
    }
}
