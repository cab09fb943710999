//! Tables: of our own, and CSV as Omni sends it.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A terminal that says it is narrower does not know its width.
const NARROWEST: u16 = 40;

/// Rows under a header, as wide as the terminal allows, numbers to the right.
pub(in crate::cli) fn table(header: &[String], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(header);
    if table.width().is_some_and(|width| width >= NARROWEST) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row);
    }
    for column in 0..header.len() {
        let numbers = rows.iter().filter_map(|row| row.get(column)).all(|cell| is_number(cell));
        if let Some(column) = table.column_mut(column).filter(|_| numbers) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
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
    fn what_omni_cut_is_shown_as_it_stands() {
        let cut = "a,b\n# FIRST 1 ROWS:\n1,2\n# LAST 1 ROWS:\n3,4";
        assert_eq!(csv(cut), cut);
        let drawn = csv("name,amount\nEurope,5\nAsia,\"1,234\"");
        assert!(drawn.contains("│ Europe        5 │") && drawn.contains("│ Asia      1,234 │"), "{drawn}");
    }
}
