//! Where a reader of a conversation starts.

use std::fmt;
use std::str::FromStr;

/// An entry's id in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId {
    millis: u64,
    sequence: u64,
}

/// Where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// After this entry; after [`EntryId::ZERO`] is the beginning of what is kept.
    After(EntryId),
    /// With the next new entry.
    New,
}

/// Neither an id nor `$`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoPosition;

impl EntryId {
    /// Before every entry.
    pub(super) const ZERO: Self = Self { millis: 0, sequence: 0 };
    /// Nothing can follow it, so that nobody can start there.
    pub(super) const LAST: Self = Self { millis: u64::MAX, sequence: u64::MAX };
}

impl FromStr for EntryId {
    type Err = NoPosition;

    /// `<milliseconds>` or `<milliseconds>-<sequence>`, as Redis reads them.
    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or(NoPosition)
        };
        let (millis, sequence) = text.split_once('-').unwrap_or((text, "0"));
        let id = Self { millis: number(millis)?, sequence: number(sequence)? };
        if id == Self::LAST { Err(NoPosition) } else { Ok(id) }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

impl Start {
    /// Whether an entry that is there already comes before the start.
    pub(super) fn is_behind(self, entry: EntryId) -> bool {
        match self {
            Self::After(seen) => seen >= entry,
            Self::New => true,
        }
    }
}

impl FromStr for Start {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        if text == "$" { Ok(Self::New) } else { text.parse().map(Self::After) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_and_sort_as_such() {
        let id = |text: &str| text.parse::<EntryId>();
        assert_eq!(id("0"), Ok(EntryId::ZERO));
        assert!(id("9-1").unwrap() < id("10-0").unwrap() && id("10-9").unwrap() < id("10-10").unwrap());
        assert_eq!(id("1706123456000-3").unwrap().to_string(), "1706123456000-3");
        assert_eq!("$".parse(), Ok(Start::New));
        let last = format!("{0}-{0}", u64::MAX);
        for wrong in ["", "-", "1-", "-1", "+1", "1-+1", "1-2-3", "x", "(1-0", "18446744073709551616", "1 ", &last] {
            assert_eq!(id(wrong), Err(NoPosition), "{wrong:?}");
        }
    }
}
