//! Readers for members that Omni may omit, null or give another type: anything unexpected is as if it were absent.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A member as it stood in the text, not yet looked into.
pub(super) type Member<'a> = Option<&'a RawValue>;

/// Reads a member as `T`, or not at all.
pub(super) fn read<T: DeserializeOwned>(member: Member<'_>) -> Option<T> {
    serde_json::from_str(member?.get()).ok()
}

/// A member that is a string with something in it.
pub(super) fn text(member: Member<'_>) -> Option<String> {
    read::<String>(member).filter(|text| !text.is_empty())
}

/// A time in RFC 3339, with or without a fraction of a second.
pub(super) fn time(member: Member<'_>) -> Option<Timestamp> {
    text(member)?.parse().ok()
}

/// A count that may be written as a number or as a string.
pub(super) fn count(member: Member<'_>) -> Option<usize> {
    read(member).or_else(|| text(member)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_absent() {
        assert_eq!(text(Some(&raw(r#""a""#))), Some("a".to_owned()));
        for json in ["null", "1", "{}", r#""""#] {
            assert_eq!(text(Some(&raw(json))), None, "{json}");
        }
        assert_eq!(text(None), None);
    }

    #[test]
    fn times_come_with_and_without_milliseconds() {
        let time = |json: &str| time(Some(&raw(json))).map(Timestamp::as_millisecond);
        assert_eq!(time(r#""2026-01-02T03:04:05.678Z""#), time(r#""2026-01-02T03:04:05Z""#).map(|ms| ms + 678));
        assert_eq!(time(r#""yesterday""#), None);
        assert_eq!(time("1767323045"), None);
    }

    #[test]
    fn counts_come_as_numbers_and_as_strings() {
        assert_eq!(count(Some(&raw("12"))), Some(12));
        assert_eq!(count(Some(&raw(r#""12""#))), Some(12));
        assert_eq!(count(Some(&raw(r#""-1""#))), None);
        assert_eq!(count(Some(&raw("null"))), None);
    }
}
