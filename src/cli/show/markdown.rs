//! Markdown as text for people: headings, bold, lists and tables, lightly.

use super::Style;
use super::table::table;

pub(super) fn markdown(text: &str, style: Style) -> String {
    let mut out = Vec::new();
    let mut lines = text.lines().peekable();
    let mut code = false;
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        if trimmed.starts_with("```") {
            code = !code;
        } else if code {
            out.push(format!("    {line}"));
        } else if is_row(line) && lines.peek().is_some_and(|next| is_rule(next)) {
            lines.next();
            let mut rows = Vec::new();
            while let Some(row) = lines.next_if(|line| is_row(line)) {
                rows.push(cells(row));
            }
            out.push(table(&cells(line), &rows));
        } else if let Some(heading) = heading(trimmed) {
            out.push(style.bold(&bare(heading)));
        } else if let Some(item) = ["- ", "* ", "+ "].iter().find_map(|mark| trimmed.strip_prefix(mark)) {
            out.push(format!("{indent}• {}", inline(item, style)));
        } else {
            out.push(inline(line, style));
        }
    }
    out.join("\n")
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (1..=6).contains(&(line.len() - text.len())).then(|| text.strip_prefix(' ')).flatten()
}

fn is_row(line: &str) -> bool {
    line.trim().starts_with('|') && line.trim().len() > 1
}

/// The line between a table's header and its rows.
fn is_rule(line: &str) -> bool {
    is_row(line) && line.contains('-') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|');
    inner.strip_suffix('|').unwrap_or(inner).split('|').map(|cell| bare(cell.trim())).collect()
}

/// Without marks, for places that have a look of their own.
fn bare(text: &str) -> String {
    text.replace("**", "").replace('`', "")
}

fn inline(line: &str, style: Style) -> String {
    let mut out = String::new();
    for (index, part) in line.split("**").enumerate() {
        // An unpaired mark is text.
        let paired = index % 2 == 1 && line.matches("**").count() > index;
        match (index % 2, paired) {
            (1, true) => out += &style.bold(part),
            (1, false) => out.extend(["**", part]),
            _ => out += part,
        }
    }
    match out.strip_prefix('_').and_then(|text| text.strip_suffix('_')) {
        Some(text) if !text.is_empty() && !text.contains('_') => style.italic(text),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        markdown(text, Style::plain())
    }

    #[test]
    fn marks_become_looks() {
        assert_eq!(
            shown("### Top **2**\n\n1. **Desk** – $5\n- a\n  * b\n_see_\n```\n**x**\n```"),
            "Top 2\n\n1. Desk – $5\n• a\n  • b\nsee\n    **x**"
        );
        assert_eq!(shown("2 ** 3 and a_b_"), "2 ** 3 and a_b_");
        assert_eq!(shown("#hashtag"), "#hashtag");
    }

    #[test]
    fn a_table_is_drawn() {
        let text = shown("before\n| Region | Revenue |\n| --- | ---: |\n| **Europe** | $5 |\nafter");
        assert!(text.starts_with("before\n┌") && text.ends_with("┘\nafter"), "{text}");
        assert!(text.contains("Europe") && !text.contains("**") && !text.contains("---"), "{text}");
        assert_eq!(shown("| a pipe"), "| a pipe");
    }
}
