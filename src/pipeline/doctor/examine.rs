//! The looks themselves.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::try_join;
use url::Url;
use uuid::Uuid;

use super::check::{Check, count, unseen};
use super::judge::{clocks, remedy, server, stage};
use crate::model::Cause;
use crate::model::letter::LetterFilter;
use crate::model::run::Groups;
use crate::omni::{Omni, UserPage, UserSearch, post_signed, test_event};
use crate::pipeline::keyring::{Halt, KeyRing};
use crate::runtime::{Clock, chain};
use crate::store::Store;
use crate::store::backlog::Limit;
use crate::store::budget::{Closed, Room};
use crate::store::delivery::Stream;

/// Longest wait for the receiver's answer.
const RECEIVER: Duration = Duration::from_secs(10);
/// From here on Redis is slow.
const SLOW: Duration = Duration::from_millis(20);
/// Dead letters whose causes are looked at, the newest.
const LAST: usize = 100;
/// Renewed so often that what nobody renewed for so many times `claim_after` is stuck.
const STUCK: u32 = 4;

/// Examines.
#[derive(Clone)]
pub struct Doctor {
    /// The store.
    pub store: Store,
    /// Omni.
    pub omni: Arc<Omni>,
    /// Omni's keys.
    pub keys: Arc<KeyRing>,
    /// Time.
    pub clock: Clock,
    /// What the configuration warns of.
    pub warnings: Vec<String>,
    /// Whether prompts may leave their model out.
    pub has_model: bool,
    /// Where Omni's webhooks go, and the secret that signs them.
    pub webhook: Option<(Url, SecretString)>,
    /// An entry that nobody renewed for so long is another's to take.
    pub claim_after: Duration,
    /// When nothing new is accepted.
    pub backlog: Limit,
}

impl Doctor {
    /// Everything, in the order in which one thing stands on another. Where Redis is away the rest cannot be seen.
    pub async fn examine(&self) -> Vec<Check> {
        let mut checks = self.configuration();
        if let Err(error) = self.store.redis().ping().await {
            let advice = "look at redis.url, at the network, and at what Redis itself logs";
            checks.push(Check::fail("redis", chain(&error), advice));
            return checks;
        }
        if let Err(error) = self.store.fits().await {
            let advice = "run the newest version that ever served here, commands too; see \"Upgrade and rollback\" in docs/RUNBOOK.md";
            checks.push(Check::fail("stored shapes", chain(&error), advice));
            return checks;
        }
        checks.extend(self.redis().await);
        for stream in Stream::ALL {
            checks.push(self.stage(stream).await);
        }
        checks.push(self.backlog().await);
        checks.push(self.letters().await);
        checks.push(self.paused().await);
        checks.push(self.omni().await);
        checks.extend(self.budget().await);
        checks.push(self.webhook().await);
        checks
    }

    fn configuration(&self) -> Vec<Check> {
        const NAME: &str = "configuration";
        let mut checks: Vec<Check> = self
            .warnings
            .iter()
            .map(|warning| {
                Check::warn(NAME, warning, "see docs/CONFIGURATION.md; `config show` says where it comes from")
            })
            .collect();
        if checks.is_empty() {
            checks.push(Check::ok(NAME, "every value can be used"));
        }
        if !self.has_model {
            checks.push(Check::ok("model", "there is no omni.model_id: every prompt names its own"));
        }
        checks
    }

    async fn redis(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        match self.store.risks().await {
            Ok(risks) => checks.extend(risks.into_iter().map(|risk| {
                let (seen, advice) = risk.split_once(": ").unwrap_or((&risk, "see docs/GUARANTEES.md"));
                Check::warn("redis", seen, advice)
            })),
            Err(error) => checks.push(unseen("redis", &error)),
        }
        match self.store.info().await {
            Ok(info) => checks.extend(server(&info)),
            Err(error) => checks.push(unseen("redis", &error)),
        }
        checks.push(match self.store.latency().await {
            Ok(time) if time < SLOW => Check::ok("redis latency", format!("{time:.1?}")),
            Ok(time) => Check::warn(
                "redis latency",
                format!("{time:.1?}"),
                "put Redis next to the relay, and look for slow disks (appendfsync) and slow commands (SLOWLOG)",
            ),
            Err(error) => unseen("redis latency", &error),
        });
        let ours = self.clock.now_ms();
        checks.push(match self.store.time().await {
            Ok(theirs) => clocks(ours.abs_diff(theirs)),
            Err(error) => unseen("clock", &error),
        });
        checks
    }

    async fn stage(&self, stream: Stream) -> Check {
        let name = format!("stage {}", stream.stage());
        match self.store.stream_state(stream, self.claim_after * STUCK).await {
            Ok(None) => Check::warn(
                name,
                "its stream has no consumer group",
                "start a relay: it makes the group, and skips nothing",
            ),
            Ok(Some(state)) => stage(name, &state),
            Err(error) => unseen(&name, &error),
        }
    }

    async fn backlog(&self) -> Check {
        let Limit { prompts: most, bytes, .. } = self.backlog;
        match self.store.backlog().await {
            Ok(backlog) => {
                let seen = format!("{} of {most} prompts, {} of {bytes} bytes", backlog.prompts, backlog.bytes);
                if backlog.prompts >= most || backlog.bytes >= bytes {
                    let advice = "nothing new is accepted: look at what is paused, at the budget and at the stages, or raise backlog.prompts and backlog.bytes";
                    Check::fail("backlog", seen, advice)
                } else if backlog.prompts >= most / 5 * 4 || backlog.bytes >= bytes / 5 * 4 {
                    Check::warn("backlog", seen, "soon nothing new is accepted: look at the budget and at the stages")
                } else {
                    Check::ok("backlog", seen)
                }
            }
            Err(error) => unseen("backlog", &error),
        }
    }

    async fn letters(&self) -> Check {
        let all = LetterFilter::default();
        match try_join!(self.store.open_letters(), self.store.letters(&all, None, LAST)) {
            Ok(((0, _), _)) => Check::ok("dead letters", "none"),
            Ok(((open, _), last)) => {
                let mut groups = Groups::default();
                for letter in &last.items {
                    groups.add(letter);
                }
                let most = groups.sorted().into_iter().next().map(|group| {
                    let (count, of) = (group.count, last.items.len());
                    format!("; {count} of the last {of} died in {} of: {}", group.stage, group.error)
                });
                let seen = format!("{open} wait for a person{}", most.unwrap_or_default());
                let advice = "`dead list --group` says of what they died; replay them once that is put right";
                Check::warn("dead letters", seen, advice)
            }
            Err(error) => unseen("dead letters", &error),
        }
    }

    async fn paused(&self) -> Check {
        match self.store.pauses().await {
            Ok(pauses) if pauses.is_empty() => Check::ok("pauses", "nothing is paused"),
            Ok(pauses) => {
                let all: Vec<String> = pauses
                    .iter()
                    .map(|pause| format!("{} by {} since {}", pause.what, pause.note.who, pause.note.at))
                    .collect();
                Check::warn("pauses", all.join(", "), "`resume` lets them go on")
            }
            Err(error) => unseen("pauses", &error),
        }
    }

    /// A look-up of a user whom nobody has, with each key: what it costs is in the budget.
    async fn omni(&self) -> Check {
        const NAME: &str = "omni";
        let rooms = match self.keys.rooms().await {
            Ok(rooms) => rooms,
            Err(error) => return unseen(NAME, &error),
        };
        for (id, _) in &rooms {
            let nobody = format!("omni-relay-doctor-{}", Uuid::new_v4().simple());
            let mut search = UserSearch::default();
            loop {
                let permit = match self.keys.poll(Some(id), 1).await {
                    Ok(permit) => permit,
                    Err(halt) => {
                        let advice = match halt {
                            Halt::Wait { cause: Cause::NoKey, .. } => "put a key that Omni knows into omni.api_keys",
                            _ => "see the budget below: Omni was not asked, so as not to take what answers need",
                        };
                        return Check::warn(NAME, format!("not asked: {halt}"), advice);
                    }
                };
                let answer = self.omni.look_for_user(permit.key(), &nobody, search).await;
                match self.keys.heard(&permit, answer).await {
                    Ok(UserPage::Elsewhere(other)) => search = other,
                    Ok(_) => break,
                    Err(Halt::Omni(error)) => {
                        let (seen, advice) = (format!("key {}: {error}", permit.key().id()), remedy(&error));
                        return Check::fail(NAME, seen, advice);
                    }
                    Err(error) => return unseen(NAME, &error),
                }
            }
        }
        Check::ok(NAME, format!("it answers, and takes {}", count(rooms.len(), "key")))
    }

    async fn budget(&self) -> Vec<Check> {
        let rooms = match self.keys.rooms().await {
            Ok(rooms) => rooms,
            Err(error) => return vec![unseen("budget", &error)],
        };
        // Metrics have the place of a key in omni.api_keys, logs its id.
        let check = |(place, (id, room)): (usize, (&str, Room))| {
            let name = format!("budget of key {place} ({id})");
            match room {
                Room::For(_) => Check::ok(name, "there is room for new jobs"),
                Room::NotBefore(pause) => Check::warn(
                    name,
                    format!("used up: a new job may start in {pause:.1?}"),
                    "prompts wait and are answered in turn; another key, or a higher limit at Omni and in omni.requests_per_minute, gives more",
                ),
                Room::Closed(pause, Closed::Throttled) => Check::warn(
                    name,
                    format!("Omni answered 429; closed for {pause:.1?}"),
                    "look for others who use the same key, and whether omni.requests_per_minute is what Omni allows",
                ),
                Room::Closed(pause, Closed::Refused) => Check::fail(
                    name,
                    format!("Omni answered 401; tried again in {pause:.1?}"),
                    "have an organization admin look at the key at Omni, and put a new one into omni.api_keys",
                ),
            }
        };
        (1..).zip(rooms).map(check).collect()
    }

    async fn webhook(&self) -> Check {
        const NAME: &str = "webhook address";
        let Some((url, secret)) = &self.webhook else {
            let advice =
                "set webhook.public_url and webhook.secrets: answers come sooner, and cost less of Omni's limit";
            return Check::warn(NAME, "none: every job is polled", advice);
        };
        let body = test_event(&format!("evt_doctor_{}", Uuid::new_v4().simple()));
        let status = match post_signed(url, secret, self.clock.now(), body.clone(), RECEIVER).await {
            Ok(status) => status,
            Err(error) => {
                let advice = "look at DNS, the certificate, the proxy and the firewall between Omni and the relay; tried from here";
                return Check::fail(NAME, format!("{url}: {}", chain(&error.without_url())), advice);
            }
        };
        if !status.is_success() {
            let advice = match status.as_u16() {
                401 => {
                    "the body must reach the relay byte by byte, the clocks agree, and every replica have the secret"
                }
                404 | 405 => "webhook.public_url must end with /webhooks/omni, and the proxy keep the path",
                300..=399 => "Omni may not follow redirects: name the address that it leads to",
                _ => "look at the proxy's and the relay's logs",
            };
            return Check::fail(NAME, format!("{url} answers {status}"), advice);
        }
        match self.store.is_unhandled(&body).await {
            Ok(true) => Check::ok(NAME, format!("{url}: a signed event came back")),
            Ok(false) => Check::fail(
                NAME,
                format!("{url} answers {status}, and the event did not arrive here"),
                "something else answers there, or a relay with another Redis or namespace",
            ),
            Err(error) => unseen(NAME, &error),
        }
    }
}
