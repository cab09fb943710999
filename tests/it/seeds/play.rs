//! Plays a script: every step on time, each beside those that are still under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use omni_relay::runtime::Clock;
use omni_relay::simulator::{Fault, User};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::bed::{Bed, bearer};
use super::book::Book;
use super::script::{Ask, Op, Script, TENANTS};
use crate::contract::{Call, Client};
use crate::world::{MODEL, SECRET};

/// Longer than a relay takes to find out that its Redis is silent.
const PATIENCE: Duration = Duration::from_secs(8);
/// Stands in every prompt, and must not stand in any log.
pub(super) const SECRET_WORD: &str = "chrysanthemum";

/// A story that is being played.
pub(super) struct Story {
    pub(super) script: Script,
    pub(super) bed: Bed,
    pub(super) http: Client,
    pub(super) book: Mutex<Book>,
}

/// What came of a call: the status and the body, or nothing.
pub(super) type Reply = Option<(u16, Value)>;

impl Story {
    pub(super) fn new(script: Script, bed: Bed) -> Arc<Self> {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client").into();
        Arc::new(Self { script, bed, http, book: Mutex::new(Book::new()) })
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every step, to its end.
    pub(super) async fn play(self: &Arc<Self>) {
        let mut under_way = JoinSet::new();
        for (index, step) in self.script.steps.iter().enumerate() {
            tokio::time::sleep(Duration::from_millis(step.after)).await;
            let (story, op) = (self.clone(), step.op.clone());
            under_way.spawn_local(async move {
                if op.is_fault() {
                    story.book().faults += 1;
                }
                let outcome = Box::pin(story.step(&op, index)).await;
                story.book().note(&format!("#{index} {op:?}: {outcome}"));
            });
        }
        while let Some(ended) = under_way.join_next().await {
            if let Err(error) = ended {
                self.book().violation(format!("a step of the story itself failed: {error}"));
            }
        }
    }

    /// One step; answers what came of it, for the history.
    async fn step(&self, op: &Op, index: usize) -> String {
        match op {
            Op::Ask(ask) => {
                self.book().asks(ask);
                if ask.pushed { self.push(ask).await } else { self.post(ask, ask.replica).await }
            }
            Op::Repeat { number, replica } => match self.asked(*number).filter(|ask| ask.idempotent) {
                Some(ask) if ask.pushed => self.push(&ask).await,
                Some(ask) => self.post(&ask, *replica).await,
                None => "no such prompt".to_owned(),
            },
            Op::Intrude { number, replica } => self.intrude(*number, *replica).await,
            Op::Cancel { number, replica } => self.cancel(*number, *replica).await,
            Op::Read { number, replica } => self.read(*number, *replica).await,
            Op::Resend { number } => self.at_omni(*number, |job| self.bed.sim.resend(job)),
            Op::Release { number } => self.at_omni(*number, |job| self.bed.sim.release(job)),
            Op::Forge { number, replica, stale } => self.forge(*number, *replica, *stale).await,
            Op::Broken { number, readable } => self.push_broken(*number, *readable).await,
            Op::Elsewhere { number, replica } => self.elsewhere(*number, *replica).await,
            Op::Judge { replica, replay } => {
                let letters = self.letters(*replica).await.unwrap_or_default();
                let mut rng = Rng::with_seed(self.script.seed ^ index as u64);
                match rng.choice(&letters) {
                    Some(letter) => self.judge(&letter["id"], *replica, *replay).await,
                    None => "no letters".to_owned(),
                }
            }
            Op::Omni { method, path, kind, times } => {
                self.bed.sim.fault(Fault::new(method, path, *kind).times(*times));
                "set".to_owned()
            }
            _ => self.outage(op).await,
        }
    }

    async fn outage(&self, op: &Op) -> String {
        let pause = |ms: u64| tokio::time::sleep(Duration::from_millis(ms));
        match op {
            Op::GroupLost { stream } => {
                let mut command = redis::cmd("XGROUP");
                command.arg("DESTROY").arg(self.bed.key(stream)).arg("relay");
                return self.command::<u8>(&command).await.map_or_else(|error| error, |gone| gone.to_string());
            }
            Op::RedisKilled { down } => {
                let mut redis = self.bed.redis.lock().await;
                self.book().note("redis is killed");
                redis.kill();
                pause(*down).await;
                redis.start_again().await;
            }
            Op::RedisFrozen { silent } => {
                let redis = self.bed.redis.lock().await;
                self.book().note("redis falls silent");
                redis.pause();
                pause(*silent).await;
                redis.resume();
            }
            Op::RelayKilled { replica, down } | Op::RelayStopped { replica, down } => {
                let mut relay = self.bed.relays[*replica].lock().await;
                self.book().note(&format!("replica {replica} goes down"));
                let wrong = if matches!(op, Op::RelayKilled { .. }) {
                    relay.kill()
                } else {
                    relay.stop(Duration::from_secs(1)).await
                };
                pause(*down).await;
                let started = relay.start().await;
                for wrong in wrong.into_iter().chain(started.err()) {
                    self.book().violation(format!("replica {replica}: {wrong}"));
                }
            }
            _ => {}
        }
        "over".to_owned()
    }

    pub(super) fn asked(&self, number: usize) -> Option<Ask> {
        self.book().prompts.get(&number).map(|prompt| prompt.ask.clone())
    }

    fn body(&self, ask: &Ask) -> Value {
        let markers = if ask.marker.is_empty() { String::new() } else { format!(" [sim:{}]", ask.marker) };
        let mut body = json!({
            "prompt": format!("{SECRET_WORD} {} revenue by region{markers}", text_number(ask.number)),
            "conversation": ask.key,
            "metadata": {"number": ask.number},
        });
        // One user a conversation: by the length of its name, half of them are looked up.
        if ask.key.ends_with(['0', '2', '4']) {
            body["user"] = json!({"externalId": "emea-anna"});
        } else {
            body["userId"] = User::new("dana", "Dana").id.to_string().into();
        }
        if let Some(deadline) = ask.deadline {
            body["deadlineSeconds"] = deadline.into();
        }
        if ask.idempotent {
            body["idempotencyKey"] = format!("key-{}-{}", self.script.seed, ask.number).into();
        }
        if ask.number.is_multiple_of(3) {
            body["progress"] = true.into();
        }
        if has_file(ask.number) {
            body["attachments"] = json!([{"data": "aGk=", "mimeType": "image/png"}]);
        }
        if ask.pushed && !ask.tenant.is_empty() {
            body["tenant"] = ask.tenant.into();
        }
        body
    }

    pub(super) async fn post(&self, ask: &Ask, replica: usize) -> String {
        let request = self.http.post(format!("{}/v1/prompts", self.bed.urls[replica])).json(&self.body(ask));
        let reply = sent(request.bearer_auth(bearer(ask.tenant))).await;
        let mut book = self.book();
        match &reply {
            Some((200 | 202, object)) => {
                book.accepted(ask.number, object["promptId"].as_str().unwrap_or_default());
            }
            Some((503, _)) | None => book.in_doubt(ask.number),
            Some((429, _)) => book.prompts.get_mut(&ask.number).expect("it was asked").refused = true,
            Some((status, body)) => book.violation(format!("prompt {} was answered {status}: {body}", ask.number)),
        }
        shown(&reply)
    }

    pub(super) async fn push(&self, ask: &Ask) -> String {
        let pushed = self.add(&self.body(ask).to_string()).await;
        let mut book = self.book();
        match pushed {
            Ok(entry) => {
                let prompt = book.prompts.get_mut(&ask.number).expect("it was asked");
                // Whichever came first was accepted, whoever was told first.
                prompt.entry = Some(prompt.entry.map_or(entry, |before| before.min(entry)));
                format!("{entry:?}")
            }
            Err(error) => {
                book.in_doubt(ask.number);
                error
            }
        }
    }

    /// Adds to the intake stream.
    async fn add(&self, data: &str) -> Result<(u64, u64), String> {
        let mut command = redis::cmd("XADD");
        command.arg(self.bed.key("intake")).arg("*").arg("data").arg(data);
        let id: String = self.command(&command).await?;
        let (ms, sequence) = id.split_once('-').expect("an entry's id");
        Ok((ms.parse().expect("a number"), sequence.parse().expect("a number")))
    }

    async fn command<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, String> {
        let run = async {
            let client = redis::Client::open(self.bed.redis_url.as_str())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            command.query_async::<T>(&mut connection).await
        };
        let answer = tokio::time::timeout(PATIENCE, run).await.map_err(|late| late.to_string())?;
        answer.map_err(|error| error.to_string())
    }

    async fn push_broken(&self, number: usize, readable: bool) -> String {
        let conversation = format!("broken-{number}");
        let data = if readable {
            json!({"conversation": conversation, "prompt": SECRET_WORD, "no-such-field": true}).to_string()
        } else {
            format!("{{{SECRET_WORD}")
        };
        match self.add(&data).await {
            Ok(entry) => {
                if readable {
                    self.book().broken.push(conversation);
                }
                format!("{entry:?}")
            }
            Err(error) => error,
        }
    }

    async fn intrude(&self, number: usize, replica: usize) -> String {
        let Some(ask) = self.asked(number).filter(|_| self.id(number).is_some()) else {
            return "nobody to intrude on".to_owned();
        };
        let mut body = self.body(&Ask { idempotent: false, ..ask.clone() });
        body.as_object_mut().expect("an object").remove("user");
        body["userId"] = User::new("somebody-else", "Somebody").id.to_string().into();
        body["prompt"] = format!("{SECRET_WORD} intruder").into();
        let request = self.http.post(format!("{}/v1/prompts", self.bed.urls[replica])).json(&body);
        let reply = sent(request.bearer_auth(bearer(ask.tenant))).await;
        if !matches!(reply, None | Some((409 | 503 | 429, _))) {
            self.book().violation(format!("another user came into {}: {}", ask.conversation(), shown(&reply)));
        }
        shown(&reply)
    }

    async fn cancel(&self, number: usize, replica: usize) -> String {
        let (Some(ask), Some(id)) = (self.asked(number), self.id(number)) else { return "not known".to_owned() };
        let path = format!("{}/v1/prompts/{id}/cancel", self.bed.urls[replica]);
        self.book().prompts.get_mut(&number).expect("it was asked").cancelled = true;
        let reply = sent(self.http.post(path).bearer_auth(bearer(ask.tenant))).await;
        if !matches!(reply, None | Some((200 | 202 | 503, _))) {
            self.book().violation(format!("a cancel of prompt {number} was answered {}", shown(&reply)));
        }
        shown(&reply)
    }

    /// As its own tenant, and as another: a stranger learns nothing, and cancels nothing.
    async fn read(&self, number: usize, replica: usize) -> String {
        let (Some(ask), Some(id)) = (self.asked(number), self.id(number)) else { return "not known".to_owned() };
        let url = format!("{}/v1/prompts/{id}", self.bed.urls[replica]);
        let own = sent(self.http.get(&url).bearer_auth(bearer(ask.tenant))).await;
        if !matches!(own, None | Some((200 | 503, _))) {
            self.book().violation(format!("its own tenant sees of prompt {number}: {}", shown(&own)));
        }
        let stranger = if ask.tenant == TENANTS[0] { TENANTS[1] } else { TENANTS[0] };
        for request in [self.http.get(&url), self.http.post(format!("{url}/cancel"))] {
            let reply = sent(request.bearer_auth(bearer(stranger))).await;
            if !matches!(reply, None | Some((404 | 503, _))) {
                self.book().violation(format!("{stranger} sees of {}: {}", ask.conversation(), shown(&reply)));
            }
        }
        shown(&own)
    }

    fn id(&self, number: usize) -> Option<String> {
        self.book().prompts.get(&number).and_then(|prompt| prompt.id.clone())
    }

    fn at_omni(&self, number: usize, what: impl Fn(uuid::Uuid)) -> String {
        let jobs = self.bed.sim.jobs();
        let job = jobs.iter().find(|job| number_of(&job.prompt) == Some(number));
        job.inspect(|job| what(job.id)).map_or_else(|| "no job".to_owned(), |job| job.id.to_string())
    }

    /// Signed with another secret, or long ago.
    async fn forge(&self, number: usize, replica: usize, stale: bool) -> String {
        let jobs = self.bed.sim.jobs();
        let Some(job) = jobs.iter().rfind(|job| number_of(&job.prompt) == Some(number)) else {
            return "no job".to_owned();
        };
        let body = json!({"event_id": "evt_forged", "jobId": job.id, "status": "FAILED",
                          "metadata": job.webhook_metadata});
        let body = body.to_string().into_bytes();
        let now = Clock::system().now().as_second();
        let timestamp = if stale { now - 3_600 } else { now }.to_string();
        let secret = if stale { SECRET } else { "whsec-of-somebody-else" };
        let signature = omni_relay::omni::signature::sign(&secret.into(), &timestamp, &body);
        let request = self.http.post(format!("{}/webhooks/omni", self.bed.urls[replica])).body(body);
        let request = request.header("X-Omni-Signature-Timestamp", timestamp).header("X-Omni-Signature", signature);
        let reply = sent(request).await;
        if !matches!(reply, None | Some((401, _))) {
            self.book().violation(format!("a forged webhook was answered {}", shown(&reply)));
        }
        shown(&reply)
    }

    async fn elsewhere(&self, number: usize, replica: usize) -> String {
        if !self.script.webhooks {
            return "no webhooks".to_owned();
        }
        let body = json!({"modelId": MODEL, "prompt": format!("{SECRET_WORD} elsewhere {number}"),
            "webhookSigningSecret": SECRET, "webhookUrl": format!("{}/webhooks/omni", self.bed.urls[replica])});
        let url = format!("{}/api/v1/ai/jobs", self.bed.sim.url());
        let omnis = reqwest::Client::new().post(url).bearer_auth("omni_osk_of-a-person").json(&body);
        // A fault that never answers may be meant for the relay, and is whoever's comes first.
        let omnis = omnis.timeout(PATIENCE);
        let created: Value = match omnis.send().await {
            Ok(answer) if answer.status() == 201 => answer.json().await.unwrap_or_default(),
            _ => return "no answer".to_owned(),
        };
        let id = |name: &str| created[name].as_str().and_then(|id| id.parse().ok()).expect("an id");
        self.book().elsewhere.push((id("jobId"), id("conversationId")));
        created["jobId"].to_string()
    }

    /// Every open letter.
    pub(super) async fn letters(&self, replica: usize) -> Option<Vec<Value>> {
        let url = format!("{}/v1/dead-letters?limit=200", self.bed.urls[replica]);
        match sent(self.http.get(url).bearer_auth(bearer(""))).await {
            Some((200, page)) => page["items"].as_array().cloned(),
            _ => None,
        }
    }

    /// Replays or discards a letter.
    pub(super) async fn judge(&self, id: &Value, replica: usize, replay: bool) -> String {
        let id = id.as_str().unwrap_or_default();
        let url = format!("{}/v1/dead-letters/{id}", self.bed.urls[replica]);
        let request = if replay { self.http.post(format!("{url}/replay")) } else { self.http.delete(url) };
        if replay {
            *self.book().replays.entry(id.to_owned()).or_default() += 1;
        } else {
            self.book().discards.insert(id.to_owned());
        }
        let answer = sent(request.bearer_auth(bearer(""))).await;
        match &answer {
            // Nothing changed.
            Some((200, _)) if replay => *self.book().replays.entry(id.to_owned()).or_default() -= 1,
            None | Some((200 | 202 | 503, _)) => {}
            _ => self.book().violation(format!("a decision about letter {id} was answered {}", shown(&answer))),
        }
        format!("{id} {}", shown(&answer))
    }
}

async fn sent(request: Call) -> Reply {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let body = response.bytes().await.ok()?;
    Some((status, serde_json::from_slice(&body).unwrap_or_default()))
}

fn shown(reply: &Reply) -> String {
    match reply {
        None => "no answer".to_owned(),
        Some((status, body)) => {
            let of = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            format!("{status} {}{}{} {}", of("promptId"), of("code"), of("outcome"), of("phase"))
        }
    }
}

fn text_number(number: usize) -> String {
    format!("number-{number}:")
}

/// Whether a prompt comes with a file.
pub(super) fn has_file(number: usize) -> bool {
    number.is_multiple_of(5)
}

/// The number in a prompt's text.
pub(super) fn number_of(prompt: &str) -> Option<usize> {
    prompt.split_once("number-")?.1.split_once(':')?.0.parse().ok()
}
