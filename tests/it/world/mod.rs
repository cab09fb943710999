//! The world of a story: a real Redis, the real relay, the simulator over HTTP, and words for what people do with them.
//!
//! When a world is dropped it checks the promises on everything that was asked in it ([`check`]). Worlds need a
//! multi-threaded runtime for that.

mod check;
mod look;
mod parts;
mod process;

use std::time::Duration;

use omni_relay::app::{App, Parts};
use omni_relay::config::{Config, Sources};
use omni_relay::runtime::{Clock, Lifecycle, Metrics, Outcome};
use omni_relay::simulator::{Options, Simulator, User};
use serde_json::{Value, json};

use crate::contract::{Call, Client, Contract};
use crate::redis::TestRedis;
#[cfg(feature = "failpoints")]
pub(crate) use check::rank;
#[cfg(feature = "failpoints")]
pub(crate) use look::event;
pub(crate) use look::{eventually, is_terminal, within};
pub(crate) use parts::{ALL, MODEL, SECRET, Setting, free_port, sources};
pub(crate) use process::Process;

/// Longest time anything in a story may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) sim: Simulator,
    pub(crate) clock: Clock,
    pub(crate) namespace: String,
    pub(crate) redis_url: String,
    /// Where `/v1` answers.
    pub(crate) url: String,
    /// Where webhooks are taken.
    pub(crate) receiver: String,
    pub(crate) http: Client,
    ports: Option<[u16; 2]>,
    setting: Setting,
    relay: Option<(Vec<App>, Lifecycle)>,
}

/// A prompt that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) conversation: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Setting::default()).await
    }

    pub(crate) async fn with(setting: Setting) -> Self {
        let (redis_url, namespace) = if let Some(url) = &setting.redis {
            let fresh = || format!("test-{}", uuid::Uuid::new_v4().simple());
            (url.clone(), setting.namespace.clone().unwrap_or_else(fresh))
        } else {
            let redis = TestRedis::start().await;
            (redis.url().to_owned(), redis.namespace().to_owned())
        };
        let sim = Simulator::start(Options {
            requests_per_minute: setting.requests_per_minute,
            minute: setting.minute.0,
            api_keys: setting.api_keys.clone(),
            duration: setting.jobs.clone(),
            latency: setting.latency.clone(),
            ignore_scim_filter: setting.ignore_scim_filter,
            users: vec![User::new("dana", "Dana"), User::new("emea-anna", "Anna")],
            webhook_tries: 5,
            webhook_backoff: Duration::from_millis(100),
            ..Options::default()
        });
        let sim = sim.await.expect("the simulator listens");
        let mut world = Self {
            sim,
            clock: Clock::shiftable(),
            namespace,
            redis_url,
            url: String::new(),
            receiver: String::new(),
            ports: None,
            http: Client::new(),
            setting,
            relay: None,
        };
        world.start().await;
        world
    }

    /// Starts the relay (again); on the same port, so that webhooks find it.
    pub(crate) async fn start(&mut self) {
        assert!(self.relay.is_none(), "the relay runs already");
        let (ports, apps, lifecycle) = self.relay(self.ports).await;
        [self.url, self.receiver] = ports.map(at);
        Contract::of(&self.url).await;
        (self.ports, self.relay) = (Some(ports), Some((apps, lifecycle)));
    }

    /// Starts another replica, on a port of its own. Whoever asked for it stops it.
    pub(crate) async fn replica(&self) -> Lifecycle {
        self.relay(None).await.2
    }

    /// Reloads every process with what it was started with, and this.
    pub(crate) fn reload(&self, more: impl Fn(Sources) -> Sources) -> anyhow::Result<()> {
        let (apps, _) = self.relay.as_ref().expect("a relay that runs");
        for (app, roles) in apps.iter().zip(self.setting.processes) {
            let sources = self.sources(roles, self.ports.expect("it was started"));
            let loaded = Config::load(more(sources)).expect("a configuration");
            let settings = loaded.show();
            app.reload(loaded.config, settings, PATIENCE)?;
        }
        Ok(())
    }

    /// All processes of a relay, as one.
    async fn relay(&self, ports: Option<[u16; 2]>) -> ([u16; 2], Vec<App>, Lifecycle) {
        'again: for _ in 0..20 {
            let ports = ports.unwrap_or_else(|| match self.setting.processes {
                [_] => [free_port(); 2],
                _ => [free_port(), free_port()],
            });
            let lifecycle = Lifecycle::new();
            let mut apps = Vec::new();
            for roles in self.setting.processes {
                let config = Config::load(self.sources(roles, ports)).expect("a configuration").config;
                let brought = Parts {
                    clock: self.clock.clone(),
                    patience: (8, Duration::from_millis(20)),
                    tuning: self.setting.tuning,
                    budget_window: self.setting.minute.0 + self.setting.minute.1,
                    ..Parts::new(lifecycle.clone(), Metrics::install().expect("a recorder"))
                };
                let Ok(app) = App::start(&config, brought).await else {
                    let _ = lifecycle.stop(PATIENCE).await;
                    continue 'again;
                };
                apps.push(app);
            }
            return (ports, apps, lifecycle);
        }
        panic!("the relay did not start");
    }

    /// The configuration of the process with these roles. Who only receives knows nothing of Omni.
    fn sources(&self, roles: &str, [api, receiver]: [u16; 2]) -> Sources {
        let port = if roles.contains("api") { api } else { receiver };
        let port = if roles.contains("api") || roles.contains("receive") { port } else { 0 };
        let sources = sources(&self.redis_url, &self.namespace, port, &self.sim.url());
        let sources = sources.with("webhook.public_url", format!("{}/webhooks/omni", at(receiver)));
        let mut sources = (self.setting.adjust)(sources.with("roles", roles));
        if roles == "receive" {
            sources.env.retain(|name, _| !name.contains("__OMNI__"));
        }
        sources
    }

    /// Stops the relay as a deployment would.
    pub(crate) async fn stop(&mut self) -> Outcome {
        let (_, lifecycle) = self.relay.take().expect("a relay that runs");
        lifecycle.stop(Duration::from_secs(5)).await
    }

    /// The configuration of this world's relay, for a process with these roles.
    pub(crate) fn environment(&self, roles: &str) -> Vec<(String, String)> {
        self.sources(roles, self.ports.expect("it was started")).env.into_iter().collect()
    }

    pub(crate) async fn post(&self, body: &Value) -> reqwest::Response {
        let request = self.http.post(format!("{}/v1/prompts", self.url)).json(body);
        request.send().await.expect("the relay answers")
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).send().await.expect("the relay answers")
    }

    /// Cancels a prompt: the status, and the prompt object.
    pub(crate) async fn cancel(&self, asked: &Asked) -> (u16, Value) {
        let request = self.http.post(format!("{}/v1/prompts/{}/cancel", self.url, asked.id));
        answered(request).await
    }

    /// Replays a dead letter: the status, and the outcome.
    pub(crate) async fn replay(&self, id: &str) -> (u16, Value) {
        let request = self.http.post(format!("{}/v1/dead-letters/{id}/replay", self.url));
        let (status, mut body) = answered(request).await;
        (status, body["outcome"].take())
    }

    /// Discards a dead letter: the status, and the outcome.
    pub(crate) async fn discard(&self, id: &str) -> (u16, Value) {
        let (status, mut body) = answered(self.http.delete(format!("{}/v1/dead-letters/{id}", self.url))).await;
        (status, body["outcome"].take())
    }

    /// Asks in a conversation of its own.
    pub(crate) async fn ask(&self, prompt: &str) -> Asked {
        self.ask_with(json!({"prompt": prompt})).await
    }

    pub(crate) async fn ask_in(&self, conversation: &str, prompt: &str) -> Asked {
        self.ask_with(json!({"prompt": prompt, "conversation": conversation})).await
    }

    /// Asks with these fields; the model and the user are filled in where they are missing.
    pub(crate) async fn ask_with(&self, mut body: Value) -> Asked {
        if body.get("user").is_none() && body.get("userId").is_none() {
            body["userId"] = User::new("dana", "Dana").id.to_string().into();
        }
        let response = self.post(&body).await;
        let status = response.status().as_u16();
        let object: Value = response.json().await.expect("a prompt object");
        assert!(status == 202 || status == 200, "{status}: {object}");
        Asked { id: text(&object, "promptId"), conversation: text(&object, "conversation") }
    }

    /// Sends a signed webhook.
    pub(crate) async fn webhook(&self, body: &[u8]) -> reqwest::Response {
        let timestamp = self.clock.now().as_second().to_string();
        let signature = omni_relay::omni::signature::sign(&SECRET.into(), &timestamp, body);
        let request = self.http.post(format!("{}/webhooks/omni", self.receiver)).body(body.to_vec());
        let request = request.header("X-Omni-Signature-Timestamp", timestamp).header("X-Omni-Signature", signature);
        request.send().await.expect("the relay answers")
    }

    /// Creates a job at Omni without the relay, with its address and secret: the job's id and its conversation.
    pub(crate) async fn create_elsewhere(&self, prompt: &str) -> (uuid::Uuid, uuid::Uuid) {
        let body = json!({"modelId": MODEL, "prompt": prompt, "webhookSigningSecret": SECRET,
                          "webhookUrl": format!("{}/webhooks/omni", self.receiver)});
        let request = reqwest::Client::new()
            .post(format!("{}/api/v1/ai/jobs", self.sim.url()))
            .bearer_auth("omni_osk_test")
            .json(&body);
        let created: Value = request.send().await.unwrap().json().await.unwrap();
        (text(&created, "jobId").parse().unwrap(), text(&created, "conversationId").parse().unwrap())
    }

    /// Pushes a prompt onto the intake stream.
    pub(crate) async fn push(&self, data: &str) -> String {
        let mut command = redis::cmd("XADD");
        command.arg(format!("{{{}}}:intake", self.namespace)).arg("*").arg("data").arg(data);
        self.redis(&command).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                if self.relay.is_some() {
                    check::promises(self).await;
                }
                if let Some((_, lifecycle)) = self.relay.take() {
                    let _ = lifecycle.stop(Duration::from_secs(5)).await;
                }
            });
        });
    }
}

fn at(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

async fn answered(request: Call) -> (u16, Value) {
    let response = request.send().await.expect("the relay answers");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// A member of an object, as text.
pub(crate) fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}")).to_owned()
}
