//! A picture of what runs left behind as JSON: each run's ratios beside their goals, and what a move costs as the backlog grows.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::report::median;

/// Bench, figure, goal of its ratio to the ceiling, and which way is better.
const GOALS: [(&str, &str, f64, &str); 6] = [
    ("ingest", "a second", 0.90, "≥"),
    ("process", "a second", 0.70, "≥"),
    ("accept", "a second", 0.50, "≥"),
    ("ingest", "p99 µs, closed", 1.2, "≤"),
    ("latency", "p50 µs", 1.5, "≤"),
    ("latency", "p99 µs", 2.0, "≤"),
];
const LEFT: f64 = 190.0;
const WIDE: f64 = 480.0;
const ROW: f64 = 32.0;
const COLOURS: [&str; 4] = ["#2563eb", "#d97706", "#059669", "#9333ea"];

/// One run: every turn's figures by bench, figure and who.
type Run = BTreeMap<(String, String, String), Vec<f64>>;

/// Draws what these files hold into `out`, an SVG.
pub(crate) fn draw(words: &[String]) -> anyhow::Result<()> {
    let [out, files @ ..] = words else { bail!("--plot FILE.svg RUN.json... names what to draw") };
    let runs = files.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let (ratios, growth) = (ratios(&runs)?, growth(&runs)?);
    let head =
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 500" font-family="sans-serif" font-size="13">"#;
    let ground = r##"<rect width="760" height="500" fill="#fff"/>"##;
    std::fs::write(out, format!("{head}{ground}{ratios}{growth}</svg>\n"))?;
    Ok(())
}

fn read(file: &str) -> anyhow::Result<Run> {
    let value: Value = serde_json::from_str(&std::fs::read_to_string(file).with_context(|| file.to_owned())?)?;
    let mut run = Run::new();
    for turn in value["turns"].as_array().context("no turns")? {
        let word = |name: &str| turn[name].as_str().unwrap_or_default().to_owned();
        for (figure, value) in turn["figures"].as_object().context("no figures")? {
            let key = (word("bench"), figure.clone(), word("who"));
            run.entry(key).or_default().push(value.as_f64().context("no number")?);
        }
    }
    Ok(run)
}

/// A row for each goal, dots for each run, on a scale of factors.
fn ratios(runs: &[Run]) -> anyhow::Result<String> {
    let place = |ratio: f64| LEFT + WIDE * (ratio.clamp(0.1, 10.0).log10() + 1.0) / 2.0;
    let mut text = String::from(
        r#"<text x="20" y="24" font-weight="bold">The relay as a part of the least; hollow, what keeps the promises</text>"#,
    );
    for mark in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0] {
        let x = place(mark);
        write!(text, r##"<path d="M{x:.1} 40V{:.1}" stroke="#ddd"/>"##, 50.0 + 6.0 * ROW)?;
        write!(
            text,
            r##"<text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#666">{mark}</text>"##,
            66.0 + 6.0 * ROW
        )?;
    }
    for (row, (bench, figure, goal, way)) in (0_u8..).zip(GOALS) {
        let (y, x) = (62.0 + f64::from(row) * ROW, place(goal));
        write!(text, r#"<text x="20" y="{:.1}">{bench}, {figure}</text>"#, y + 4.0)?;
        write!(text, r##"<path d="M{x:.1} {:.1}v20" stroke="#dc2626" stroke-width="3"/>"##, y - 10.0)?;
        write!(text, r##"<text x="690" y="{:.1}" fill="#dc2626">{way} {goal}</text>"##, y + 4.0)?;
        for run in runs {
            let of = |who: &str| run.get(&(bench.to_owned(), figure.to_owned(), who.to_owned())).map(|all| median(all));
            let Some(least) = of("ceiling") else { continue };
            for (who, fill) in [("promises", "none"), ("relay", COLOURS[0])] {
                let Some(x) = of(who).map(|figure| place(figure / least)) else { continue };
                write!(text, r#"<circle cx="{x:.1}" cy="{y:.1}" r="5" fill="{fill}" stroke="{}"/>"#, COLOURS[0])?;
            }
        }
    }
    Ok(text)
}

/// A line for each move, over backlogs of 10², 10⁴ and 10⁶.
fn growth(runs: &[Run]) -> anyhow::Result<String> {
    let mut lines = BTreeMap::<&str, BTreeMap<u32, f64>>::new();
    for ((bench, figure, who), values) in runs.iter().flatten() {
        if let ("growth", Ok(backlog)) = (bench.as_str(), who.parse()) {
            lines.entry(figure).or_default().insert(backlog, median(values));
        }
    }
    let most = lines.values().flat_map(BTreeMap::values).copied().fold(1.0, f64::max);
    let place =
        |backlog: u32, cost: f64| (LEFT + WIDE * (f64::from(backlog).log10() - 2.0) / 4.0, 460.0 - 140.0 * cost / most);
    let mut text = String::from(
        r#"<text x="20" y="300" font-weight="bold">Redis µs for a move, by prompts waiting, running, dead</text>"#,
    );
    write!(text, r##"<path d="M{LEFT} 320V460H{}" stroke="#999" fill="none"/>"##, LEFT + WIDE)?;
    for backlog in [100, 10_000, 1_000_000] {
        let (x, _) = place(backlog, 0.0);
        write!(text, r##"<text x="{x:.1}" y="480" text-anchor="middle" fill="#666">{backlog}</text>"##)?;
    }
    for (row, (figure, costs)) in (0_u8..).zip(&lines) {
        let colour = COLOURS[usize::from(row) % COLOURS.len()];
        let points: Vec<String> =
            costs.iter().map(|(backlog, cost)| place(*backlog, *cost)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        write!(text, r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, points.join(" "))?;
        let all: Vec<String> = costs.values().map(|cost| format!("{cost:.0}")).collect();
        let y = 340.0 + 24.0 * f64::from(row);
        write!(text, r#"<text x="20" y="{y:.1}" fill="{colour}">{figure}: {}</text>"#, all.join(", "))?;
    }
    Ok(text)
}
