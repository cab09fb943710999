//! Server-sent events, as the relay sends them.

use anyhow::bail;
use reqwest::Response;
use serde_json::Value;

/// More than the largest entry there can be; a stream without line ends is none.
const LONGEST: usize = 64 * 1024 * 1024;

/// An entry as it came.
pub(super) struct Event {
    /// Its id in the stream.
    pub(super) id: Option<String>,
    /// The entry's `type`.
    pub(super) kind: String,
    /// The entry as JSON.
    pub(super) data: Value,
}

/// An open stream of them.
pub(super) struct Events {
    response: Response,
    lines: Lines,
}

impl Events {
    pub(super) fn new(response: Response) -> Self {
        Self { response, lines: Lines::default() }
    }

    /// None once the relay has closed the stream.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if let Some(event) = self.lines.event() {
                return Ok(Some(event));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.lines.bytes.extend_from_slice(&chunk),
                None => return Ok(None),
            }
            if self.lines.bytes.len() > LONGEST {
                bail!("failed to read events: one is longer than {LONGEST} bytes");
            }
        }
    }
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Up to here there is no line end.
    searched: usize,
    id: Option<String>,
    kind: String,
    data: String,
}

impl Lines {
    /// The next event that is complete and whose data is JSON.
    fn event(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            if !line.is_empty() {
                self.field(&line);
                continue;
            }
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
            if let Ok(data) = serde_json::from_str(&data) {
                return Some(Event { id: self.id.clone(), kind, data });
            }
        }
        None
    }

    fn line(&mut self) -> Option<String> {
        let Some(end) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        let line: Vec<u8> = self.bytes.drain(..=self.searched + end).collect();
        self.searched = 0;
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data += value;
            }
            // A comment, or what nobody here reads.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_however_the_bytes_arrive() {
        let text = ":hello\n\nid: 1-0\nevent: omni.answer\ndata: {\"a\":\ndata: 1}\n\nretry: 5\nid: 2-0\r\nevent: x\r\ndata: {}\r\n\r\ndata: {\"open";
        for step in [1, 2, 7, text.len()] {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(step) {
                lines.bytes.extend_from_slice(piece);
                while let Some(event) = lines.event() {
                    found.push((event.id.unwrap(), event.kind, event.data.to_string()));
                }
            }
            let expected = [("1-0", "omni.answer", "{\"a\":1}"), ("2-0", "x", "{}")]
                .map(|(id, kind, data)| (id.to_owned(), kind.to_owned(), data.to_owned()));
            assert_eq!(found, expected, "in pieces of {step}");
        }
    }
}
