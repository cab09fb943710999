//! A line over the last minutes, as an SVG that a page holds.

use super::look::number;

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;

/// What the template draws.
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// The last value, for people.
    pub(super) now: String,
    /// The line and its values in words.
    pub(super) told: String,
    pub(super) points: String,
    pub(super) area: String,
}

impl Plot {
    /// Of values from the oldest to the newest, equally far apart, with the time they span in words.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels")]
    pub(super) fn new(title: &'static str, values: &[f64], spans: &str) -> Self {
        let most = values.iter().copied().fold(0.0, f64::max);
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let now = values.last().copied().unwrap_or_default();
        let step = WIDTH / (values.len().max(2) - 1) as f64;
        let height = |value: f64| HEIGHT - 1.0 - value / most.max(1.0) * (HEIGHT - 4.0);
        let places = values.iter().enumerate();
        let points: Vec<String> =
            places.map(|(place, value)| format!("{:.1},{:.1}", place as f64 * step, height(*value))).collect();
        let points = points.join(" ");
        let end = values.len().saturating_sub(1) as f64 * step;
        let text = |value: f64| number(&(value.round() as u64));
        let told = match values.len() {
            0 => "nothing measured yet".to_owned(),
            _ => format!("now {}, between {} and {} in the last {spans}", text(now), text(least), text(most)),
        };
        let area = format!("0,{HEIGHT} {points} {end:.1},{HEIGHT}");
        Self { title, now: text(now), told, points, area }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_left_to_right_and_as_high_as_its_values() {
        let plot = Plot::new("waiting", &[0.0, 10.0, 5.0], "15 min");
        assert_eq!(plot.points, "0.0,47.0 120.0,3.0 240.0,25.0");
        assert_eq!((plot.now.as_str(), plot.told.as_str()), ("5", "now 5, between 0 and 10 in the last 15 min"));
        assert_eq!(Plot::new("waiting", &[], "15 min").told, "nothing measured yet");
        assert_eq!(Plot::new("waiting", &[7.0], "5 s").points, "0.0,3.0");
    }
}
