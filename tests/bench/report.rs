//! What was measured: lines of a table, and JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

/// Every turn's figures.
#[derive(Default)]
pub(crate) struct Report {
    turns: Vec<Turn>,
}

struct Turn {
    bench: &'static str,
    who: String,
    figures: Vec<(&'static str, f64)>,
}

impl Report {
    /// One turn of one side.
    pub(crate) fn add(&mut self, bench: &'static str, who: &str, figures: &[(&'static str, f64)]) {
        let told: Vec<String> = figures.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
        eprintln!("  {bench:<8} {who:<12} {}", told.join(" · "));
        self.turns.push(Turn { bench, who: who.to_owned(), figures: figures.to_vec() });
    }

    /// The medians of every figure, and where a ceiling was measured beside it, what part of it that is.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| bench | figure | who | median of turns | ratio to the ceiling |\n| --- | --- | --- | --- | --- |\n",
        );
        for ((bench, figure, who), values) in self.series() {
            let ceiling = self.series().remove(&(bench, figure, "ceiling"));
            let ratio = match ceiling {
                Some(ceiling) if who != "ceiling" => format!("{:.2}", median(&values) / median(&ceiling)),
                _ => String::new(),
            };
            let all: Vec<String> = values.iter().map(|value| short(*value)).collect();
            let median = short(median(&values));
            let _ = writeln!(text, "| {bench} | {figure} | {who} | {median} ({}) | {ratio} |", all.join(", "));
        }
        text
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> String {
        let turn = |turn: &Turn| {
            let figures: serde_json::Map<String, Value> =
                turn.figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            json!({"bench": turn.bench, "who": turn.who, "figures": figures})
        };
        json!({"turns": self.turns.iter().map(turn).collect::<Vec<_>>()}).to_string()
    }

    fn series(&self) -> BTreeMap<(&str, &str, &str), Vec<f64>> {
        let mut series = BTreeMap::<_, Vec<f64>>::new();
        for turn in &self.turns {
            for (figure, value) in &turn.figures {
                series.entry((turn.bench, *figure, turn.who.as_str())).or_default().push(*value);
            }
        }
        series
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
