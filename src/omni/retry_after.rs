//! The `Retry-After` header: seconds, or an HTTP date.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// How long the sender asks us to stay away. A date is measured against the sender's own `Date`, so no clock of ours
/// enters; without that header a date says nothing.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(value)?;
    let now = http_date(headers.get(DATE)?.to_str().ok()?)?;
    // A moment that has passed means: now.
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn read(retry_after_value: &'static str, date: Option<&'static str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after_value));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read("17", None), Some(Duration::from_secs(17)));
        assert_eq!(read("0", None), Some(Duration::ZERO));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:07 GMT", now), Some(Duration::ZERO));
    }

    #[test]
    fn what_cannot_be_read_is_absent() {
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        for value in ["", "soon", "-3", "1.5", "99999999999999999999999"] {
            assert_eq!(read(value, Some("Sun, 06 Nov 1994 08:49:37 GMT")), None, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
