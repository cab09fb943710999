//! How times, durations and numbers look on pages.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// A moment: exact for programs and on a long look, relative for people.
pub(super) struct When {
    at: Timestamp,
    now: Timestamp,
}

impl When {
    pub(super) const fn new(at: &Timestamp, now: &Timestamp) -> Self {
        Self { at: *at, now: *now }
    }
}

/// HTML of our own, with nothing in it that somebody sent.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, exact) = (self.at, self.at.strftime("%F %T%.3f UTC"));
        let far = span(&self.now.duration_since(self.at).unsigned_abs());
        let (before, after) = if at > self.now { ("in ", "") } else { ("", " ago") };
        write!(f, "<time datetime=\"{at}\" title=\"{exact}\">{before}{far}{after}</time>")
    }
}

impl askama::filters::HtmlSafe for When {}

/// A duration in its two largest units.
pub(super) fn span(duration: &Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A whole number with its thousands set apart.
pub(super) fn number(number: &u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in [(5, "5 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (180_000, "2 d 2 h")] {
            assert_eq!(span(&Duration::from_secs(seconds)), text);
        }
        assert_eq!(span(&Duration::from_millis(41)), "41 ms");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(number(&7), "7");
        assert_eq!(number(&1000), "1\u{202f}000");
        assert_eq!(number(&1_234_567), "1\u{202f}234\u{202f}567");
    }
}
