//! Holds what Redis and the simulated Omni have against what should have happened.

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::parts::Parts;
use super::script::Asked;
use crate::model::Conversation;
use crate::store::conversation::Stored;

const STEPS: [&str; 3] = ["omni.prompt.accepted", "omni.job.submitted", "omni.answer"];

/// Says in short what was right, or what was not.
pub(super) async fn all(parts: &Parts, first: &Asked, second: &Asked) -> anyhow::Result<String> {
    let conversation =
        Conversation::from_full(&first.submitted.conversation).context("the conversation has no name")?;
    ensure!(first.submitted.stream == second.submitted.stream, "the follow-up went to another stream");
    let entries = parts.store.entries(&conversation, "0", 100).await?;
    for asked in [first, second] {
        ensure!(asked.seen == STEPS, "a reader saw {} for prompt {}", asked.seen.join(", "), asked.submitted.prompt_id);
    }
    stream(&entries, [first, second])?;
    follow_up(first, second)?;
    requests(parts)?;
    Ok(format!(
        "{} entries of 2 answered prompts, {} requests to Omni",
        entries.len(),
        parts.simulator.requests().len()
    ))
}

/// The stream holds three entries for each prompt, in order, and nothing else.
fn stream(entries: &[Stored], asked: [&Asked; 2]) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for entry in entries {
        let event: Value = serde_json::from_str(entry.event.get())?;
        found.push(format!("{} of {}", entry.kind, event["data"]["promptId"].as_str().unwrap_or("nobody")));
    }
    let expected: Vec<String> =
        asked.iter().flat_map(|asked| STEPS.map(|step| format!("{step} of {}", asked.submitted.prompt_id))).collect();
    ensure!(
        found == expected,
        "the stream should hold\n  {}\nand holds\n  {}",
        expected.join("\n  "),
        found.join("\n  ")
    );
    Ok(())
}

/// Omni went on with the conversation it had begun, and its answer says so.
fn follow_up(first: &Asked, second: &Asked) -> anyhow::Result<()> {
    let [before, after] = [first, second].map(|asked| &asked.data["conversationId"]);
    ensure!(before.is_string() && before == after, "the follow-up went to another conversation of Omni's");
    let message = second.data["message"].as_str().unwrap_or_default();
    ensure!(message.contains("last question"), "the follow-up's answer does not refer to the first question");
    Ok(())
}

/// A create and a result for each prompt, no more.
fn requests(parts: &Parts) -> anyhow::Result<()> {
    let requests = parts.simulator.requests();
    let creates = requests.iter().filter(|request| request.method == "POST" && request.path.ends_with("/jobs")).count();
    let results =
        requests.iter().filter(|request| request.method == "GET" && request.path.ends_with("/result")).count();
    if (creates, results, requests.len()) != (2, 2, 4) {
        let lines: Vec<String> =
            requests.iter().map(|request| format!("\n  {} {}", request.method, request.path)).collect();
        bail!("expected a create and a result for each prompt, and Omni got{}", lines.concat());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    fn asked(prompt: &str, conversation_id: &str, message: &str) -> Asked {
        let submitted = json!({"promptId": prompt, "conversation": "demo", "stream": "s", "eventsUrl": "/e"});
        Asked {
            submitted: serde_json::from_value(submitted).unwrap(),
            seen: STEPS.map(str::to_owned).to_vec(),
            data: json!({"conversationId": conversation_id, "message": message}),
        }
    }

    fn entries(kinds: &[(&str, &str)]) -> Vec<Stored> {
        let entry = |(kind, prompt): &(&str, &str)| Stored {
            id: "1-0".to_owned(),
            kind: (*kind).to_owned(),
            fields: Vec::new(),
            event: to_raw_value(&json!({"data": {"promptId": prompt}})).unwrap(),
        };
        kinds.iter().map(entry).collect()
    }

    #[test]
    fn a_stream_with_anything_else_is_no_success() {
        let (first, second) = (asked("p1", "c", ""), asked("p2", "c", ""));
        let right: Vec<(&str, &str)> = ["p1", "p2"].into_iter().flat_map(|id| STEPS.map(|step| (step, id))).collect();
        assert!(stream(&entries(&right), [&first, &second]).is_ok());
        let mut twice = right.clone();
        twice.push(("omni.answer", "p2"));
        assert!(stream(&entries(&twice), [&first, &second]).is_err());
        assert!(stream(&entries(&right[1..]), [&first, &second]).is_err());
        let mut swapped = right.clone();
        swapped.swap(1, 2);
        let error = stream(&entries(&swapped), [&first, &second]).unwrap_err();
        assert!(error.to_string().contains("omni.answer of p1\n  omni.job.submitted of p1"), "{error}");
    }

    #[test]
    fn a_follow_up_elsewhere_is_no_success() {
        let first = asked("p1", "c", "");
        let refers = "refers to your last question";
        assert!(follow_up(&first, &asked("p2", "c", refers)).is_ok());
        assert!(follow_up(&first, &asked("p2", "d", refers)).is_err());
        assert!(follow_up(&first, &asked("p2", "c", "five")).is_err());
    }
}
