//! An answer's text.

use std::fmt::Write as _;

use super::question::{Group, Measure, Question};
use super::table::{Table, column, group_name, rounded};

/// A title such as "Top 5 products by revenue in Europe".
pub(super) fn title(question: &Question) -> String {
    let measure = match question.measure {
        Measure::Revenue => "revenue",
        Measure::Units => "units sold",
    };
    let group = group_name(question.group).to_lowercase();
    let mut title = match question.limit {
        Some(limit) => {
            let rank = if question.worst_first { "Bottom" } else { "Top" };
            format!("{rank} {limit} {group}s by {measure}")
        }
        None if question.measure == Measure::Revenue => format!("Revenue by {group}"),
        None => format!("Units sold by {group}"),
    };
    if let Some(product) = question.product {
        write!(title, " for {product}").ok();
    }
    if let Some(region) = question.region {
        write!(title, " in {region}").ok();
    }
    if let Some(month) = question.month {
        write!(title, " in {month}").ok();
    }
    title
}

pub(super) fn markdown(question: &Question, table: &Table, title: &str, visible: Option<&str>) -> String {
    let mut text = format!("### {title}\n\n");
    if table.rows.is_empty() {
        text += "There are no rows you may see for this question.";
    } else {
        match question.group {
            Group::Month => months(&mut text, question, table),
            _ if question.limit.is_some() => ranking(&mut text, question, table),
            _ => shares(&mut text, question, table),
        }
        summary(&mut text, question, table);
    }
    if question.follow_up {
        text += "\n\n_This refers to your last question in this conversation._";
    }
    if let Some(region) = visible {
        write!(text, "\n\n_You see orders of {region} only._").ok();
    }
    text
}

fn ranking(text: &mut String, question: &Question, table: &Table) {
    for (index, (name, value)) in table.rows.iter().enumerate() {
        writeln!(text, "{}. **{name}** – {}", index + 1, rounded(*value, question.measure)).ok();
    }
}

fn shares(text: &mut String, question: &Question, table: &Table) {
    writeln!(text, "| {} | {} | Share |\n| --- | ---: | ---: |", group_name(question.group), column(question.measure))
        .ok();
    for (name, value) in &table.rows {
        writeln!(text, "| {name} | {} | {} |", rounded(*value, question.measure), percent(*value, table.total)).ok();
    }
}

fn months(text: &mut String, question: &Question, table: &Table) {
    writeln!(text, "| Month | {} | Change |\n| --- | ---: | ---: |", column(question.measure)).ok();
    let mut before = None;
    for (name, value) in &table.rows {
        let change = before.map_or_else(String::new, |before| change(before, *value));
        writeln!(text, "| {name} | {} | {change} |", rounded(*value, question.measure)).ok();
        before = Some(*value);
    }
}

fn summary(text: &mut String, question: &Question, table: &Table) {
    let total = rounded(table.total, question.measure);
    let shown: u64 = table.rows.iter().map(|row| row.1).sum();
    let best = table.rows.iter().max_by_key(|row| row.1);
    if shown < table.total {
        write!(text, "\nTogether they make **{}** of {total}.", percent(shown, table.total)).ok();
    } else if let Some((name, value)) = best.filter(|_| table.rows.len() > 1) {
        let of_total = percent(*value, table.total);
        write!(text, "\n**{name}** leads with {of_total} of {total} in all.").ok();
    } else {
        write!(text, "\nIn all: **{total}**.").ok();
    }
}

/// One decimal: `12.3%`.
fn percent(part: u64, whole: u64) -> String {
    let tenths = (part * 1000 + whole / 2).checked_div(whole).unwrap_or(0);
    format!("{}.{}%", tenths / 10, tenths % 10)
}

fn change(before: u64, now: u64) -> String {
    let sign = if now < before { '-' } else { '+' };
    format!("{sign}{}", percent(now.abs_diff(before), before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(prompt: &str) -> String {
        let question = Question::read(prompt, None);
        let table = Table::of(&question, None);
        markdown(&question, &table, &title(&question), None)
    }

    #[test]
    fn different_questions_get_different_answers_with_figures() {
        let top = answer("top 5 products by revenue");
        assert!(top.starts_with("### Top 5 products by revenue\n\n1. **"), "{top}");
        assert_eq!(top.matches('$').count(), 6, "{top}");
        let regions = answer("revenue by region");
        assert!(regions.contains("| Europe | $") && regions.contains("**North America** leads"), "{regions}");
        let months = answer("how did revenue develop by month in Europe?");
        assert!(months.starts_with("### Revenue by month in Europe") && months.contains("| 2026-10 | $"), "{months}");
        assert!(months.contains(" | -") && months.contains(" | +"), "{months}");
    }

    #[test]
    fn percentages_are_rounded_to_a_tenth() {
        assert_eq!(
            (percent(1, 3).as_str(), percent(2, 3).as_str(), percent(5, 5).as_str()),
            ("33.3%", "66.7%", "100.0%")
        );
        assert_eq!((change(200, 150).as_str(), change(200, 201).as_str()), ("-25.0%", "+0.5%"));
    }
}
