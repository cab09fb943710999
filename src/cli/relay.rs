//! A relay over HTTP, as any chat service would use it.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::{Host, Url};

use super::events::{Event, Events};
use super::show::plain;
use crate::model::entry::EntryType;

const CONNECT: Duration = Duration::from_secs(5);
/// For everything but the event stream, which says something every fifteen seconds.
const ANSWER: Duration = Duration::from_secs(30);
/// For probes, whose answer is there at once or tells of trouble.
const PROBE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(45);
/// Between attempts to read events.
const PAUSE: Duration = Duration::from_millis(500);

/// One relay and the key to use there.
pub(super) struct Relay {
    http: reqwest::Client,
    url: Url,
    key: Option<SecretString>,
}

/// What the relay took.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Submitted {
    pub(super) prompt_id: String,
    /// The caller's own name for it.
    pub(super) conversation: String,
    /// The stream's key in Redis.
    pub(super) stream: String,
    events_url: String,
}

/// What the relay refused, with everything it said.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    instance: String,
    errors: Vec<FieldProblem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldProblem {
    pointer: String,
    detail: String,
}

#[derive(Debug)]
struct Refused {
    status: u16,
    problem: Problem,
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether asking again gets the same answer.
    fn stays(&self) -> bool {
        self.status < 500 && self.status != 429
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { title, detail, instance, errors } = &self.problem;
        write!(f, "the relay answered {}", self.status)?;
        for text in [title, detail].into_iter().filter(|text| !text.is_empty()) {
            write!(f, ": {}", plain(text))?;
        }
        for FieldProblem { pointer, detail } in errors {
            write!(f, "\n  {}: {}", plain(pointer), plain(detail))?;
        }
        // What the caller did wrong is no line of the log.
        let logged = self.status >= 500 && !instance.is_empty();
        if logged { write!(f, "\n  (in the relay's log: {})", plain(instance)) } else { Ok(()) }
    }
}

impl Relay {
    pub(super) fn new(url: Url, key: Option<SecretString>) -> anyhow::Result<Self> {
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => bail!("failed to use {url}: expected an address such as http://127.0.0.1:8080"),
        };
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(QUIET).redirect(Policy::none());
        // No proxy leads back to this machine.
        if local {
            http = http.no_proxy();
        }
        Ok(Self { http: http.build()?, url, key })
    }

    /// Submits a prompt and does not wait for its answer.
    pub(super) async fn submit(&self, body: &Map<String, Value>) -> anyhow::Result<Submitted> {
        let request = self.http.post(self.at("/v1/prompts")?).json(body).timeout(ANSWER);
        let response = self.send(request).await?;
        response.json().await.context("failed to read the relay's answer")
    }

    /// What a probe says: the status, and the report, where it is one.
    pub(super) async fn probe(&self, path: &str) -> anyhow::Result<(StatusCode, Value)> {
        let response = self.http.get(self.at(path)?).timeout(PROBE).send().await;
        let response = response.with_context(|| format!("failed to reach the relay at {}", self.url))?;
        Ok((response.status(), response.json().await.unwrap_or_default()))
    }

    /// Reads the prompt's entries until the one that ends it, over as many connections as that takes.
    pub(super) async fn follow(&self, prompt: &Submitted, mut seen: impl FnMut(&Event)) -> anyhow::Result<Event> {
        let mut last = None;
        loop {
            let mut events = match self.events(&prompt.events_url, last.as_deref()).await {
                Ok(events) => Some(events),
                Err(error) if error.downcast_ref().is_some_and(Refused::stays) => {
                    return Err(error);
                }
                Err(_) => None,
            };
            while let Some(event) = next(events.as_mut()).await {
                last = event.id.clone().or(last);
                if event.data["data"]["promptId"] != prompt.prompt_id.as_str() {
                    continue;
                }
                if EntryType::parse(&event.kind).is_some_and(EntryType::is_terminal) {
                    return Ok(event);
                }
                seen(&event);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn events(&self, path: &str, after: Option<&str>) -> anyhow::Result<Events> {
        let request = self.http.get(self.at(path)?);
        let request = request.header(header::ACCEPT, "text/event-stream");
        let request = match after {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        Ok(Events::new(self.send(request).await?))
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        };
        let response = request.send().await.with_context(|| format!("failed to reach the relay at {}", self.url))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem = response.json().await.unwrap_or_default();
        Err(Refused { status: status.as_u16(), problem }.into())
    }

    /// Below the relay's address, whatever path a proxy gave it. Never elsewhere: the key goes along.
    fn at(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{}", path.trim_start_matches('/')))
            .with_context(|| format!("failed to use {}", self.url))
    }
}

/// None where the stream ended, for whatever reason.
async fn next(events: Option<&mut Events>) -> Option<Event> {
    events?.next().await.ok().flatten()
}
