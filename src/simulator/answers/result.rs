//! The body of a result: message, topic, and the actions that led there.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::clock::millis;
use super::super::conversation::Conversation;
use super::super::job::Job;
use super::answer::{Answer, answer};
use super::table::{Table, query};

/// Rows kept of each part of a cut table.
const KEPT: usize = 2;

pub(in super::super) fn result(job: &Job) -> Value {
    let answer = answer(job);
    let plan = &job.behaviour.result;
    let start = job.started.unwrap_or(job.created);
    let mut actions = Vec::new();
    if plan.failed_action {
        actions.push(failed_query(job, &answer, start));
    }
    actions.push(json!({
        "type": "generate_query",
        "message": format!("I'll query the orders for: {}.", answer.title),
        "timestamp": millis(start + SignedDuration::from_millis(1)),
        "status": "complete",
        "result": query_result(job, &answer),
    }));
    actions.push(json!({
        "type": "summarize",
        "message": answer.markdown,
        "timestamp": millis(job.finished.unwrap_or(job.updated)),
        "status": "complete",
    }));
    let mut result = json!({
        "message": answer.markdown,
        "resultSummary": answer.markdown,
        "topic": job.topic.as_deref().unwrap_or("order_items"),
        "omniChatUrl": Conversation::chat_url(job.conversation),
        "actions": actions,
    });
    if plan.wordless
        && let Some(result) = result.as_object_mut()
    {
        result.retain(|name, _| !matches!(name.as_str(), "message" | "resultSummary"));
    }
    if let Some(bytes) = plan.bytes {
        pad(&mut result, bytes);
    }
    result
}

fn query_result(job: &Job, answer: &Answer) -> Value {
    let lines = answer.table.csv_lines(job.question.measure);
    let rows = lines.len();
    let header = Table::csv_header(&job.question);
    let csv = if job.behaviour.result.truncated { cut(&header, &lines) } else { join(&header, &lines) };
    json!({
        "queryName": answer.title,
        "query": query(&job.question),
        "status": "success",
        "csvResult": csv,
        "csvResultWasTruncated": job.behaviour.result.truncated,
        "hasResults": rows > 0,
        "totalRowCount": rows,
        "resultId": Uuid::new_v4(),
    })
}

/// As official samples show it: no CSV and none of its companions, although the API's document requires them.
fn failed_query(job: &Job, answer: &Answer, at: Timestamp) -> Value {
    json!({
        "type": "generate_query",
        "message": "I'll look up the margin as well.",
        "timestamp": millis(at),
        "status": "failed",
        "result": {
            "queryName": format!("{} with margin", answer.title),
            "query": query(&job.question),
            "status": "error",
            "resultId": Uuid::new_v4(),
            "error": { "message": "Query failed", "detail": "Field order_items.margin does not exist" },
        },
    })
}

fn join(header: &str, lines: &[String]) -> String {
    let mut csv = header.to_owned();
    for line in lines {
        csv.push('\n');
        csv.push_str(line);
    }
    csv
}

/// First, middle and last rows, a `#` line before each part.
fn cut(header: &str, lines: &[String]) -> String {
    let first = &lines[..KEPT.min(lines.len())];
    let last = &lines[lines.len().saturating_sub(KEPT).max(first.len())..];
    let middle = &lines[first.len()..lines.len() - last.len()];
    let sample = &middle[..middle.len().min(1)];
    let mut parts = vec![header.to_owned(), format!("# FIRST {} ROWS:", first.len())];
    parts.extend_from_slice(first);
    let (from, to) = (first.len() + 1, first.len() + middle.len());
    parts.push(format!("# SAMPLED {} ROWS FROM MIDDLE (rows {from}-{to}):", sample.len()));
    parts.extend_from_slice(sample);
    parts.push(format!("# LAST {} ROWS:", last.len()));
    parts.extend_from_slice(last);
    parts.join("\n")
}

/// Repeats rows of the query's CSV until the whole has at least so many bytes.
fn pad(result: &mut Value, bytes: usize) {
    let missing = bytes.saturating_sub(result.to_string().len());
    let query = result["actions"].as_array_mut().into_iter().flatten().find_map(|action| {
        let result = action.get_mut("result")?;
        result["csvResult"].is_string().then_some(result)
    });
    let Some(query) = query else { return };
    let row = "\nPadding,\"1,234.56\"";
    let count = missing.div_ceil(row.len());
    let csv = query["csvResult"].as_str().unwrap_or_default().to_owned() + &row.repeat(count);
    query["csvResult"] = csv.into();
    query["totalRowCount"] = (query["totalRowCount"].as_u64().unwrap_or(0) + count as u64).into();
    query["hasResults"] = true.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_table_says_where_it_was_cut() {
        let lines: Vec<String> = (1..=8).map(|row| row.to_string()).collect();
        let expected = "h\n# FIRST 2 ROWS:\n1\n2\n# SAMPLED 1 ROWS FROM MIDDLE (rows 3-6):\n3\n# LAST 2 ROWS:\n7\n8";
        assert_eq!(cut("h", &lines), expected);
        assert!(cut("h", &lines[..1]).contains("# LAST 0 ROWS:"));
        assert!(cut("h", &[]).contains("# FIRST 0 ROWS:"));
    }

    #[test]
    fn a_padded_result_has_the_size_it_was_asked_for() {
        let mut result = json!({ "actions": [{}, { "result": { "csvResult": "a\n1", "totalRowCount": 1 } }] });
        pad(&mut result, 10_000);
        let size = result.to_string().len();
        assert!((10_000..12_000).contains(&size), "{size}");
    }
}
