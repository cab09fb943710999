//! Tables: of our own, and CSV as Omni sends it.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;

use super::style::{plain, print};
use crate::cli::output::Output;

/// A terminal that says it is narrower does not know its width.
const NARROWEST: u16 = 40;
/// Of an id.
const LONGEST_NAME: usize = 36;

/// Rows under a header, as wide as the terminal allows, numbers to the right. What rows are named by stands on one line, to be
/// copied.
pub(in crate::cli) fn table(header: &[String], rows: &[Vec<String>]) -> String {
    drawn(Table::new(), header, rows)
}

fn drawn(mut table: Table, header: &[String], rows: &[Vec<String>]) -> String {
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(header);
    if table.width().is_some_and(|width| width >= NARROWEST) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row);
    }
    let is_name = |name: &String| name.len() <= LONGEST_NAME && !name.contains(char::is_whitespace);
    if let Some(first) = table.column_mut(0).filter(|_| rows.iter().filter_map(|row| row.first()).all(is_name)) {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    for column in 0..header.len() {
        let numbers = rows.iter().filter_map(|row| row.get(column)).all(|cell| is_number(cell));
        if let Some(column) = table.column_mut(column).filter(|_| numbers) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// One page of a list, in the form that `output` asks for; `nothing` stands for a table without rows.
pub(in crate::cli) fn page<T: Serialize>(
    output: Output,
    items: &[T],
    next: Option<String>,
    header: &[&str],
    row: impl Fn(&T) -> Vec<String>,
    nothing: &str,
) -> std::io::Result<()> {
    if output.json() {
        return print(&json!({"items": items, "nextCursor": next}).to_string());
    }
    if items.is_empty() {
        print(nothing)?;
    } else {
        let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
        print(&table(&header, &items.iter().map(row).collect::<Vec<_>>()))?;
    }
    next.map_or(Ok(()), |next| print(&format!("more: --cursor {}", plain(&next))))
}

/// An amount, a share, a change; or nothing.
fn is_number(cell: &str) -> bool {
    cell.chars().all(|c| c.is_ascii_digit() || "$€£%+-–,. ".contains(c))
}

/// The table of a CSV text; the text itself where it is none, such as one that Omni cut and marked with `# …` lines.
pub(super) fn csv(text: &str) -> String {
    match parse(text).as_slice() {
        [header, rows @ ..] if !text.lines().any(|line| line.starts_with('#')) => table(header, rows),
        _ => text.to_owned(),
    }
}

/// By RFC 4180, with either line end. Empty where a quote is not closed.
fn parse(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = text.trim_end().chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            c => field.push(c),
        }
    }
    if quoted || text.trim_end().is_empty() {
        return Vec::new();
    }
    row.push(field);
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_lines_and_quotes() {
        let rows = parse("Region,Revenue\r\nEurope,\"1,234.5\"\n\"a \"\"b\"\"\nc\",\n");
        assert_eq!(rows, [["Region", "Revenue"], ["Europe", "1,234.5"], ["a \"b\"\nc", ""]]);
        assert!(parse("a,\"b").is_empty());
        assert!(parse(" \n").is_empty());
    }

    #[test]
    fn an_id_is_not_broken_on_a_narrow_terminal() {
        let id = "0195f0a2-7c1e-7a3b-9d7e-2f6a1c3b5d7e";
        let row = [id, "2026-01-31T03:00:00Z", "process", "retries_exhausted", "Omni answered 503 to the request"];
        let header = ["letter", "died", "stage", "reason", "error"].map(str::to_owned);
        for width in [60, 80] {
            let mut table = Table::new();
            table.set_width(width);
            let drawn = drawn(table, &header, &[row.map(str::to_owned).to_vec()]);
            assert!(drawn.contains(id), "{drawn}");
            assert!(drawn.lines().all(|line| line.chars().count() <= width.into()), "{drawn}");
        }
    }

    #[test]
    fn what_omni_cut_is_shown_as_it_stands() {
        let cut = "a,b\n# FIRST 1 ROWS:\n1,2\n# LAST 1 ROWS:\n3,4";
        assert_eq!(csv(cut), cut);
        let drawn = csv("name,amount\nEurope,5\nAsia,\"1,234\"");
        assert!(drawn.contains("│ Europe        5 │") && drawn.contains("│ Asia      1,234 │"), "{drawn}");
    }
}
