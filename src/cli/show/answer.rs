//! The `data` of a terminal entry, as somebody who asked wants to read it.

use serde_json::Value;

use super::markdown::markdown;
use super::table::csv;
use super::{Style, plain};

/// An answer with its tables, or why there is none.
pub(in crate::cli) fn answer(kind: &str, data: &Value, style: Style) -> String {
    if kind != "omni.answer" {
        return style.bad(&plain(&without(kind, data)));
    }
    let message = plain(data["message"].as_str().unwrap_or_default());
    let mut parts = vec![markdown(&message, style)];
    let actions = data["actions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for action in actions.iter().filter(|action| action["type"] == "generate_query") {
        // Most answers hold their table already.
        parts.extend(query(&action["result"], message.contains("| ---"), style));
    }
    if let Some(key) = data["resultRef"]["key"].as_str() {
        parts.push(
            style.dim(&format!("the whole result, {} bytes, is in Redis under {key}", data["resultRef"]["bytes"])),
        );
    }
    if data["partial"] == true {
        parts.push(style.bad("The answer is partial: a query failed or its rows were cut."));
    }
    parts.join("\n\n")
}

fn query(result: &Value, drawn: bool, style: Style) -> Option<String> {
    if let Some(error) = result["error"]["message"].as_str() {
        let detail = result["error"]["detail"].as_str().map(|detail| format!(": {detail}")).unwrap_or_default();
        return Some(style.bad(&plain(&format!("A query failed: {error}{detail}"))));
    }
    let rows_text = plain(result["csvResult"].as_str().filter(|csv| !csv.trim().is_empty())?);
    let rows = result["totalRowCount"].as_u64().map(|rows| format!("· {rows} rows")).unwrap_or_default();
    if drawn && result["csvResultWasTruncated"] != true {
        return Some(style.dim(&format!("The rows of a query {rows}")));
    }
    let name = plain(result["queryName"].as_str().unwrap_or("Query"));
    Some(format!("{} {}\n{}", style.bold(&name), style.dim(&rows), csv(&rows_text)))
}

/// Why an entry is no answer.
fn without(kind: &str, data: &Value) -> String {
    let said = |value: &Value| value.as_str().map(str::to_owned);
    let message = said(&data["error"]["message"]).or_else(|| said(&data["reason"]));
    let code = said(&data["error"]["code"]).map(|code| format!(" ({code})")).unwrap_or_default();
    format!("{kind}{code}: {}", message.unwrap_or_else(|| "no answer came".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_shows_its_rows_unless_its_text_does() {
        let query = |csv: &str| json!({"type": "generate_query", "result": {"queryName": "Q", "csvResult": csv, "totalRowCount": 1}});
        let data = json!({"message": "**hi**", "actions": [query("a,b\n1,2"), {"type": "summarize"}]});
        let text = answer("omni.answer", &data, Style::plain());
        assert!(text.starts_with("hi\n\nQ · 1 rows\n┌") && text.contains("│ 1"), "{text}");
        let data = json!({"message": "| a |\n| --- |\n| 1 |", "actions": [query("a,b\n1,2")]});
        assert_eq!(answer("omni.answer", &data, Style::plain()).matches('┌').count(), 1);
    }

    #[test]
    fn a_failure_shows_its_code() {
        let data = json!({"error": {"code": "denied", "message": "no credits"}});
        assert_eq!(answer("omni.failed", &data, Style::plain()), "omni.failed (denied): no credits");
        assert_eq!(answer("omni.expired", &json!({}), Style::plain()), "omni.expired: no answer came");
    }

    #[test]
    fn a_query_that_failed_is_named() {
        let failed =
            json!({"type": "generate_query", "result": {"error": {"message": "Query failed", "detail": "no field"}}});
        let data = json!({"message": "m", "partial": true, "actions": [failed]});
        let text = answer("omni.answer", &data, Style::plain());
        assert!(text.contains("Query failed: no field") && text.contains("partial"), "{text}");
    }
}
