//! `explain`: what happened to anything, and what happens next.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::output::Output;
use super::runtime;
use super::show::{self, Style};
use super::store::store;
use crate::app;
use crate::config::{Config, Sources};
use crate::model::Tenant;
use crate::pipeline::story::{Next, Story, Waited};

/// Tells what happened to something, what it waited for, and what happens next, from Redis itself
#[derive(Args)]
pub(super) struct Explain {
    /// A prompt, a job, an event of Omni's, an entry, a dead letter, a conversation or an idempotency key; `prompt:`, `job:`,
    /// `event:`, `conversation:` or `idempotency:` before it says which
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Whose conversation or idempotency key it is
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Explain {
    pub(super) fn run(self, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
        let config = Config::load(Sources::from_process(file)?)?.config;
        runtime::block_on(1, async {
            let explainer = app::explainer(&config, &store(&config)?)?;
            let tenant = Tenant::new(self.tenant.as_deref());
            let story = explainer.explain(&self.id, &tenant).await.context("failed to look")?;
            let Some(story) = story else { bail!("nothing is known of {}", show::plain(&self.id)) };
            let json = self.output.json();
            show::print(&if json { serde_json::to_string(&story)? } else { page(&story, Style::of_stdout()) })?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn page(story: &Story, style: Style) -> String {
    let mut lines = Vec::new();
    for (name, value) in [
        ("prompt", story.prompt_id.as_deref()),
        ("conversation", story.conversation.as_deref()),
        ("job", story.job_id.as_deref()),
        ("phase", story.phase),
        ("trace", story.trace_id.as_deref()),
    ] {
        if let Some(value) = value {
            lines.push(format!("{} {}", style.dim(&format!("{name:<12}")), show::plain(value)));
        }
    }
    lines.push(String::new());
    for step in &story.steps {
        let detail = step.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let at = style.dim(&format!("{:.3}", step.at));
        lines.push(format!("{at}  {}", show::plain(&format!("{}{detail}", step.what))));
        lines.extend(step.waits.iter().map(|wait| format!("{:26}{}", "", show::plain(&waited(wait)))));
    }
    if !story.waiting.is_empty() {
        lines.push(String::new());
        lines.push(format!("behind it, in order: {}", show::plain(&story.waiting.join(", "))));
    }
    lines.push(String::new());
    lines.push(match &story.next {
        Some(next) => format!("next: {}", show::plain(&coming(next))),
        None => "nothing is left to happen".to_owned(),
    });
    lines.join("\n")
}

fn waited(wait: &Waited) -> String {
    let on = wait.on.as_ref().map(|on| format!(" {on}")).unwrap_or_default();
    let (seconds, tenths) = (wait.ms / 1000, wait.ms % 1000 / 100);
    format!("after it waited {seconds}.{tenths} s for {}{on}", wait.cause.words())
}

fn coming(next: &Next) -> String {
    let at = next.at.map(|at| format!(", at {at:.3}")).unwrap_or_default();
    let cause = next.cause.map(|cause| format!("; it waits for {}", cause.words())).unwrap_or_default();
    let on = next.on.as_ref().map(|on| format!(" {on}")).unwrap_or_default();
    let end = next.expires_at.map(|end| format!("; its time is over at {end:.3}")).unwrap_or_default();
    format!("{}{at}{cause}{on}{end}", next.what)
}
