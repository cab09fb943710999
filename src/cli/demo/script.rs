//! What the demo says: two questions in one conversation, their entries as they come, and what to try next.

use anyhow::Context;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::super::relay::{Relay, Submitted};
use super::super::show::{self, Style};
use super::parts::Parts;

const CONVERSATION: &str = "demo";
pub(super) const QUESTION: &str = "What are our top 5 products by revenue?";
pub(super) const FOLLOW_UP: &str = "And only in Europe?";

pub(super) struct Script<'a> {
    parts: &'a Parts,
    style: Style,
    began: Instant,
}

/// A question that was answered.
pub(super) struct Asked {
    pub(super) submitted: Submitted,
    /// The `type` of every entry a reader of the conversation saw, in order.
    pub(super) seen: Vec<String>,
    /// The `data` of the last one.
    pub(super) data: Value,
}

impl<'a> Script<'a> {
    pub(super) fn new(parts: &'a Parts, style: Style, began: Instant) -> Self {
        Self { parts, style, began }
    }

    pub(super) fn open(&self) -> std::io::Result<()> {
        let Parts { relay, console, simulator, namespace, .. } = self.parts;
        self.say(&format!("relay     {relay}"))?;
        self.say(&format!("console   {console}"))?;
        self.say(&format!("omni      {} (simulated)", simulator.url()))?;
        self.say(&format!("redis     redis-cli {} (namespace {namespace})", self.parts.redis_cli))
    }

    /// Asks, shows the entries as they come and the answer, and remembers them.
    pub(super) async fn ask(&self, question: &str) -> anyhow::Result<Asked> {
        let style = self.style;
        show::print("")?;
        self.say(&style.bold(&format!("“{question}”")))?;
        let relay = Relay::new(self.parts.relay.clone(), None)?;
        let submitted = relay.submit(&self.body(question)).await?;
        let mut seen = Vec::new();
        let following = relay.follow(&submitted, |event| {
            seen.push(event.kind.clone());
            // Whoever closed stdout misses it.
            let _ = self.say(&event.kind);
        });
        let last = following.await.context("failed to read the conversation's events")?;
        seen.push(last.kind.clone());
        self.say(&if last.kind == "omni.answer" { style.good(&last.kind) } else { style.bad(&last.kind) })?;
        let data = last.data["data"].clone();
        show::print(&format!("\n{}", show::answer(&last.kind, &data, style)))?;
        Ok(Asked { submitted, seen, data })
    }

    /// What to try while everything stays up.
    pub(super) fn invite(&self) -> std::io::Result<()> {
        let Parts { relay, console, redis_cli, namespace, user, .. } = self.parts;
        let relay = relay.as_str().trim_end_matches('/');
        let body = Value::Object(self.body("Units by month?"));
        let program =
            std::env::current_exe().map_or_else(|_| "omni-relay".to_owned(), |path| path.display().to_string());
        let lines = [
            self.style.bold("Everything stays up until Ctrl-C. In another terminal:"),
            format!(
                "{program} ask 'Revenue by region?' --url {relay} --user-id {} --conversation {CONVERSATION}",
                user.id
            ),
            format!("curl -s '{relay}/v1/prompts?wait=30' -H 'content-type: application/json' -d '{body}'"),
            format!("curl -N {relay}/v1/conversations/{CONVERSATION}/events"),
            format!("redis-cli {redis_cli} XRANGE '{namespace}:conversation:{{{CONVERSATION}}}' - +"),
            format!("redis-cli {redis_cli} XREVRANGE '{{{namespace}}}:answers' + - COUNT 1"),
            format!("a browser at {console}"),
            self.style
                .dim("A question with [sim:failed], [sim:twice], [sim:slow=5s] or [sim:held] in it goes that way."),
        ];
        show::print(&format!("\n{}", lines.join("\n  ")))
    }

    fn body(&self, question: &str) -> Map<String, Value> {
        let body = [
            ("prompt", json!(question)),
            ("conversation", json!(CONVERSATION)),
            ("user", json!({"userId": self.parts.user.id})),
        ];
        body.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn say(&self, text: &str) -> std::io::Result<()> {
        let time = format!("{:5.1} s", self.began.elapsed().as_secs_f64());
        show::print(&format!("{}  {text}", self.style.dim(&time)))
    }
}
