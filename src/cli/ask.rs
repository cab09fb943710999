//! `ask`: one question to a running relay, and its answer.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use super::attach::attachments;
use super::events::Event;
use super::output::Output;
use super::relay::{Relay, Submitted};
use super::runtime;
use super::show::{self, Style};

/// Longest line about what Omni is doing, in characters.
const LINE: usize = 60;

/// Asks a running relay one question and shows the answer; 1 unless an answer came
#[derive(Args)]
pub(super) struct Ask {
    /// The question
    prompt: String,
    /// Where the relay answers
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "OMNI_RELAY_URL")]
    url: Url,
    /// The caller's key, where the relay asks for one
    #[arg(long, value_name = "KEY", env = "OMNI_RELAY_KEY", hide_env_values = true, value_parser = secret)]
    key: Option<SecretString>,
    /// Your name for the conversation; the same name again asks a follow-up
    #[arg(long, value_name = "NAME")]
    conversation: Option<String>,
    /// The Omni conversation to go on with
    #[arg(long, value_name = "UUID")]
    conversation_id: Option<Uuid>,
    /// Omni's id of the user whose rights count
    #[arg(long, value_name = "UUID", conflicts_with = "external_id")]
    user_id: Option<Uuid>,
    /// Your own id of the user whose rights count
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// The model to ask, where it is not the relay's own choice
    #[arg(long, value_name = "UUID")]
    model_id: Option<Uuid>,
    /// The topic to ask about
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// A file to look at, an image or a PDF; may be given up to five times
    #[arg(long = "attach", value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Show what Omni is doing meanwhile
    #[arg(long)]
    progress: bool,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
    #[command(flatten)]
    output: Output,
}

impl Ask {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        runtime::block_on(1, self.ask())
    }

    async fn ask(self) -> anyhow::Result<ExitCode> {
        let relay = Relay::new(self.url.clone(), self.key.clone())?;
        let spinner = spinner();
        spinner.set_message("submitting");
        let submitted = relay.submit(&self.body()?).await?;
        spinner.set_message("accepted");
        let following = relay.follow(&submitted, |event| spinner.set_message(phase(event)));
        let ended = tokio::time::timeout(Duration::from_secs(self.wait), following).await;
        spinner.finish_and_clear();
        let Ok(entry) = ended else {
            bail!("no answer after {} s; prompt {} goes on without us", self.wait, submitted.prompt_id);
        };
        let entry = entry?;
        self.show(&submitted, &entry)?;
        Ok(if entry.kind == "omni.answer" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn body(&self) -> anyhow::Result<Map<String, Value>> {
        let files = attachments(&self.attach)?;
        let user = self.user_id.map(|id| json!({ "userId": id }));
        let user = user.or_else(|| self.external_id.as_ref().map(|id| json!({ "externalId": id })));
        let fields = [
            ("prompt", Some(json!(self.prompt))),
            ("conversation", self.conversation.as_ref().map(|name| json!(name))),
            ("conversationId", self.conversation_id.map(|id| json!(id))),
            ("user", user),
            ("modelId", self.model_id.map(|id| json!(id))),
            ("topicName", self.topic.as_ref().map(|name| json!(name))),
            ("attachments", (!files.is_empty()).then(|| json!(files))),
            ("progress", self.progress.then_some(Value::Bool(true))),
        ];
        Ok(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }

    fn show(&self, submitted: &Submitted, entry: &Event) -> std::io::Result<()> {
        if self.output.json() {
            return show::print(&entry.data.to_string());
        }
        let style = Style::of_stdout();
        let data = &entry.data["data"];
        show::print(&show::answer(&entry.kind, data, style))?;
        let chat = data["omniChatUrl"].as_str().map(|url| format!(" · {}", show::plain(url))).unwrap_or_default();
        let more = format!("conversation {}{chat}", submitted.conversation);
        show::print(&format!("\n{}", style.dim(&more)))
    }
}

/// On stderr, and only where that is a terminal.
fn spinner() -> ProgressBar {
    let looks =
        ProgressStyle::with_template("{spinner} {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let spinner = ProgressBar::new_spinner().with_style(looks);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

fn phase(event: &Event) -> Cow<'static, str> {
    match event.kind.as_str() {
        "omni.prompt.accepted" => "accepted".into(),
        "omni.job.submitted" => "Omni is working".into(),
        "omni.job.progress" => {
            let said = event.data["data"]["progress"]["message"].as_str().unwrap_or("Omni is working");
            show::plain(said).lines().next().unwrap_or_default().chars().take(LINE).collect::<String>().into()
        }
        "omni.delayed" => "delayed: an operator has to look".into(),
        _ => "waiting".into(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape clap asks for")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}
