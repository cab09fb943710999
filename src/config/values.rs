//! Text to values: durations, sizes, lists, names, addresses. `None` means "not that"; the key says what would be right.

use std::time::Duration;

use url::{Host, Url};

const LONGEST: Duration = Duration::from_hours(3650 * 24);
const LARGEST: usize = 512 * 1024 * 1024;

/// `250ms`, `75s`, `5m`, `1h`, `14d`; above zero, at most ten years.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(milliseconds)?);
    (!duration.is_zero() && duration <= LONGEST).then_some(duration)
}

/// `65536`, `64B`, `256KiB`, `16MiB`; above zero, at most what one value of Redis can hold.
pub(super) fn size(text: &str) -> Option<usize> {
    let (number, unit) = split_unit(text)?;
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    let size = usize::try_from(number.checked_mul(bytes)?).ok()?;
    (1..=LARGEST).contains(&size).then_some(size)
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// 1 to 64 of `A-Z a-z 0-9 . _ -`: safe in a Redis key, inside its hash tag too.
pub(super) fn name(text: &str) -> Option<String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    ((1..=64).contains(&text.len()) && text.chars().all(safe)).then(|| text.to_owned())
}

/// Printable ASCII without spaces: what can stand in an `Authorization` header.
pub(super) fn header_safe(text: &str) -> Option<String> {
    text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| text.to_owned())
}

/// What can stand in a header as it is, and in a prompt's `topicName`.
pub(super) fn topic(text: &str) -> Option<String> {
    let plain = text.trim() == text && !text.chars().any(char::is_control);
    ((1..=256).contains(&text.chars().count()) && plain).then(|| text.to_owned())
}

/// An http or https address without credentials and fragment.
pub(super) fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

/// A web address that is nothing but scheme, host and port.
pub(super) fn origin(text: &str) -> Option<Url> {
    web_address(text).filter(|url| url.path() == "/" && url.query().is_none())
}

/// Whether the traffic to `url` cannot be read on the way: https, or it does not leave this machine.
pub(super) fn is_private(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || loopback
}

/// A level, or directives that name a level somewhere: a lone word would otherwise be taken for a module.
pub(super) fn log_filter(text: &str) -> Option<String> {
    let level = matches!(text, "error" | "warn" | "info" | "debug" | "trace" | "off");
    (level || (text.contains(['=', ',']) && is_filter(text))).then(|| text.to_owned())
}

pub(super) fn is_filter(text: &str) -> bool {
    tracing_subscriber::EnvFilter::builder().parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_a_length() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("75s"), Some(Duration::from_secs(75)));
        assert_eq!(duration("5m"), Some(Duration::from_mins(5)));
        assert_eq!(duration("14d"), Some(Duration::from_hours(14 * 24)));
        for wrong in ["", "5", "0s", "-5s", "1.5h", "5 minutes", "s", "5M", "99999999999999999999s", "4000d"] {
            assert_eq!(duration(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("65536"), Some(65_536));
        assert_eq!(size("256KiB"), Some(262_144));
        assert_eq!(size("16 MiB"), Some(16_777_216));
        for wrong in ["", "0", "16MB", "16kib", "1GiB", "-1", "1.5MiB"] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_key() {
        assert_eq!(name("acme-1.eu_x").as_deref(), Some("acme-1.eu_x"));
        let long = "a".repeat(65);
        for wrong in ["", "a/b", "a:b", "{a}", "a b", "ü", &long] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn topics_can_stand_in_a_header() {
        assert_eq!(topic("order items, Größen").as_deref(), Some("order items, Größen"));
        assert!(topic(&"é".repeat(256)).is_some());
        for wrong in ["", " a", "a ", "a\nb", &"é".repeat(257)] {
            assert_eq!(topic(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn addresses_carry_no_credentials() {
        assert!(origin("https://acme.omniapp.co").is_some());
        assert!(origin("https://acme.omniapp.co:8443/").is_some());
        for wrong in ["acme.omniapp.co", "ftp://a", "https://u:p@a", "https://a/api", "https://a/?x=1", "https://a/#x"]
        {
            assert_eq!(origin(wrong), None, "{wrong:?}");
        }
        assert!(web_address("https://relay.example.com/webhooks/omni?tenant=1").is_some());
    }

    #[test]
    fn only_https_and_loopback_are_private() {
        for (address, private) in [
            ("https://acme.omniapp.co", true),
            ("http://localhost:4000", true),
            ("http://127.8.0.1", true),
            ("http://[::1]:80", true),
            ("http://acme.omniapp.co", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_private(&web_address(address).unwrap()), private, "{address}");
        }
    }

    #[test]
    fn a_mistyped_level_is_not_taken_for_a_module() {
        assert!(log_filter("debug").is_some());
        assert!(log_filter("info,omni_relay=trace").is_some());
        assert!(log_filter("inof").is_none());
        assert!(log_filter("omni_relay=loud").is_none());
    }
}
