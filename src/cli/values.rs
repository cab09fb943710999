//! Values on the command line that clap does not know.

use std::ops::RangeInclusive;
use std::time::Duration;

/// `1500ms`, `2s`, `5m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a duration such as 500ms, 2s or 5m".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| expected())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    milliseconds.map(Duration::from_millis).ok_or_else(expected)
}

/// `1s..3s`, or one duration for both ends.
pub(super) fn durations(text: &str) -> Result<RangeInclusive<Duration>, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (duration(least)?, duration(most)?);
    if least > most {
        return Err("expected the shorter duration first".to_owned());
    }
    Ok(least..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_two_ends_or_one() {
        let seconds = Duration::from_secs;
        assert_eq!(durations("1s..3s"), Ok(seconds(1)..=seconds(3)));
        assert_eq!(durations("500ms"), Ok(Duration::from_millis(500)..=Duration::from_millis(500)));
        for wrong in ["", "3", "3s..1s", "1s-3s", "..", "1h", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(durations(wrong).is_err(), "{wrong}");
        }
    }
}
