//! Behaviours chosen by the prompt: `[sim:never]`, `[sim:slow=5s,twice]`.
//!
//! Markers may stand anywhere, several in one bracket or in several. They add to what the job would do anyway. An
//! unknown one is an error that names the known ones.
//!
//! | marker | the job |
//! | --- | --- |
//! | `late=5s` | finishes in time, tells of it five seconds later |
//! | `twice`, `copies=3`, `at-once=50` | tells of it that often, one after the other or all together |
//! | `fresh-ids` | gives every copy an event id of its own |
//! | `never` | does not tell |
//! | `reordered` | tells after another job has |
//! | `early` | is finished and told before its create is answered |
//! | `forged` | is preceded by a webhook with a wrong signature |
//! | `failed`, `denied`, `cancelled` | ends that way |
//! | `slow=20s` | runs that long |
//! | `held` | runs until it is released or cancelled |
//! | `refused=503` | is refused with that status |
//! | `lost=503`, `dropped` | runs, while its create is answered with that status, or not at all |
//! | `missing=3` | answers 404 for its result that often |
//! | `huge=512k` | has a result of that size (`k`, `m`) |
//! | `failed-action` | has a query that failed among its actions |
//! | `truncated` | has its table cut |
//! | `no-chart` | has nothing to draw |

use std::time::Duration;

use super::behaviour::Behaviour;

const KNOWN: &str = "late=, twice, copies=, at-once=, fresh-ids, never, reordered, early, forged, failed, denied, \
                     cancelled, slow=, held, refused=, lost=, dropped, missing=, huge=, failed-action, truncated, \
                     no-chart";

/// A marker that is not understood; the text says which, and which are known.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown marker `{0}`, known are: {KNOWN}")]
pub struct UnknownMarker(String);

/// The behaviour with the prompt's markers added, and the prompt without them.
pub fn apply(prompt: &str, base: Behaviour) -> Result<(Behaviour, String), UnknownMarker> {
    let mut behaviour = base;
    let mut rest = String::with_capacity(prompt.len());
    let mut left = prompt;
    while let Some((before, after)) = left.split_once("[sim:") {
        let Some((inside, following)) = after.split_once(']') else { break };
        rest.push_str(before);
        for marker in inside.split(',').map(str::trim) {
            behaviour = one(marker, behaviour).ok_or_else(|| UnknownMarker(marker.to_owned()))?;
        }
        left = following;
    }
    rest.push_str(left);
    Ok((behaviour, rest.trim().to_owned()))
}

/// Whether every marker of the prompt is known.
pub fn check(prompt: &str) -> Result<(), UnknownMarker> {
    apply(prompt, Behaviour::new()).map(drop)
}

fn one(marker: &str, base: Behaviour) -> Option<Behaviour> {
    let (name, value) = marker.split_once('=').map_or((marker, None), |(name, value)| (name, Some(value)));
    let plain = match name {
        "twice" => base.twice(),
        "fresh-ids" => base.fresh_event_ids(),
        "never" => base.never(),
        "reordered" => base.reordered(),
        "early" => base.before_create_reply(),
        "forged" => base.forged(),
        "failed" => base.failed("QUERY_EXECUTION_ERROR", "The query timed out after 300 seconds"),
        "denied" => base.denied("The organization is over its AI credit limit"),
        "cancelled" => base.cancelled(),
        "held" => base.held(),
        "dropped" => base.dropped(),
        "failed-action" => base.failed_action(),
        "truncated" => base.truncated(),
        "no-chart" => base.no_chart(),
        _ => return with_value(name, value?, base),
    };
    value.is_none().then_some(plain)
}

fn with_value(name: &str, value: &str, base: Behaviour) -> Option<Behaviour> {
    Some(match name {
        "late" => base.late(duration(value)?),
        "slow" => base.slow(duration(value)?),
        "copies" => base.copies(value.parse().ok()?),
        "at-once" => base.at_once(value.parse().ok()?),
        "refused" => base.refused(error_status(value)?),
        "lost" => base.lost(error_status(value)?),
        "missing" => base.missing_result(value.parse().ok()?),
        "huge" => base.huge_result(size(value)?),
        _ => return None,
    })
}

fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

fn size(text: &str) -> Option<usize> {
    let (number, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

fn error_status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (400..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(prompt: &str) -> (Behaviour, String) {
        apply(prompt, Behaviour::new()).unwrap()
    }

    #[test]
    fn a_prompt_without_markers_stays_as_it_is() {
        assert_eq!(read("revenue by region?"), (Behaviour::new(), "revenue by region?".to_owned()));
        assert_eq!(read("a [sim:never without an end").0, Behaviour::new());
    }

    #[test]
    fn markers_add_up_wherever_they_stand() {
        let (behaviour, rest) = read("[sim:slow=5s, twice] revenue by region? [sim:late=300ms][sim:huge=2k]");
        let expected =
            Behaviour::new().slow(Duration::from_secs(5)).twice().late(Duration::from_millis(300)).huge_result(2048);
        assert_eq!(behaviour, expected);
        assert_eq!(rest, "revenue by region?");
    }

    #[test]
    fn every_marker_the_error_names_is_understood() {
        for name in KNOWN.split(", ") {
            let marker = match name {
                "late=" | "slow=" => format!("{name}1s"),
                "refused=" | "lost=" => format!("{name}503"),
                _ if name.ends_with('=') => format!("{name}3"),
                _ => name.to_owned(),
            };
            assert!(one(&marker, Behaviour::new()).is_some_and(|b| b != Behaviour::new()), "{marker}");
        }
    }

    #[test]
    fn a_typo_is_told() {
        for wrong in ["nevr", "slow", "slow=5", "slow=5h", "huge=k", "refused=201", "never=1", "", "held=yes"] {
            let error = apply(&format!("[sim:{wrong}] x"), Behaviour::new()).unwrap_err();
            assert_eq!(error, UnknownMarker(wrong.to_owned()));
        }
    }
}
