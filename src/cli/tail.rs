//! `tail`: entries as they come, straight from Redis.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::output::Output;
use super::runtime;
use super::show::{self, Style};
use super::store::store;
use crate::config::{Config, Sources};
use crate::model::Conversation;
use crate::model::entry::EntryType;
use crate::store::conversation::Stored;
use crate::store::follow::Follower;

/// Between attempts while Redis is away.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest line of an answer's text, in characters.
const LINE: usize = 100;

/// Prints entries as they come, from Redis itself, with the configuration of serve
#[derive(Args)]
pub(super) struct Tail {
    /// The conversation; `<tenant>/<name>` for a tenant's
    #[arg(required_unless_present = "answers", conflicts_with = "answers", value_parser = conversation)]
    conversation: Option<Conversation>,
    /// The stream of all answers
    #[arg(long)]
    answers: bool,
    /// Begin behind this entry: 0 with all that is kept, $ with what comes
    #[arg(long, value_name = "ID", default_value = "0", value_parser = position)]
    from: String,
    /// Stop at an entry that ends a prompt
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    output: Output,
}

impl Tail {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        runtime::block_on(1, self.tail(config))
    }

    async fn tail(self, config: Config) -> anyhow::Result<ExitCode> {
        let store = store(&config)?;
        let mut follower = store.follow(self.conversation.as_ref(), &self.from);
        // What is wrong from the start is not waited for.
        let mut entries = follower.next().await.context("failed to read the stream")?;
        loop {
            for entry in &entries {
                self.show(entry)?;
                if self.once && EntryType::parse(&entry.kind).is_some_and(EntryType::is_terminal) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            entries = next(&mut follower).await?;
        }
    }

    fn show(&self, entry: &Stored) -> std::io::Result<()> {
        if self.output.json() {
            return show::print(entry.event.get());
        }
        let style = Style::of_stdout();
        let event: Value = serde_json::from_str(entry.event.get())?;
        let text = |value: &Value| show::plain(value.as_str().unwrap_or_default());
        let time = text(&event["time"]);
        let time = time.split(['T', '.', 'Z']).nth(1).unwrap_or_default();
        let kind = EntryType::parse(&entry.kind);
        let kind = match kind {
            Some(EntryType::Answer) => style.good(&entry.kind),
            Some(kind) if kind.is_terminal() => style.bad(&entry.kind),
            _ => show::plain(&entry.kind),
        };
        let data = &event["data"];
        let said = [&data["message"], &data["progress"]["message"], &data["error"]["message"], &data["reason"]];
        let said = said.into_iter().find_map(Value::as_str).unwrap_or_default();
        let first: String = show::plain(said).trim().lines().next().unwrap_or_default().chars().take(LINE).collect();
        let line = format!("{} {kind} {} {first}", style.dim(time), style.dim(&text(&event["subject"])));
        show::print(line.trim_end())
    }
}

/// The next entries, waiting for a Redis that went away.
async fn next(follower: &mut Follower) -> anyhow::Result<Vec<Stored>> {
    let mut told = false;
    loop {
        match follower.next().await {
            Ok(entries) => return Ok(entries),
            Err(error) if error.passes() => {
                if !told {
                    eprintln!("omni-relay: {error}; waiting for it");
                }
                told = true;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error).context("failed to read the stream"),
        }
    }
}

fn conversation(name: &str) -> Result<Conversation, String> {
    Conversation::from_full(name)
        .ok_or_else(|| "expected 1 to 128 of A-Z a-z 0-9 . _ : -, behind <tenant>/ for a tenant's".to_owned())
}

fn position(text: &str) -> Result<String, String> {
    let number = |part: &str| part.parse::<u64>().is_ok();
    let id = text.split_once('-').map_or_else(|| number(text), |(time, order)| number(time) && number(order));
    (id || text == "$")
        .then(|| text.to_owned())
        .ok_or_else(|| "expected an id such as 1706123456000-0, 0 or $".to_owned())
}
