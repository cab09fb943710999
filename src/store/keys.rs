//! Every key, in one place.
//!
//! Control plane, one hash slot per namespace (`{N}` is the tag), so that each move is one script:
//!
//! | key | type | what | lives |
//! | --- | --- | --- | --- |
//! | `{N}:intake` | stream | prompts pushed by other programs: field `data` | until accepted or dead-lettered |
//! | `{N}:intake:lease` | string | the consumer that reads `intake` in order | seconds, renewed |
//! | `{N}:ready:<tenant>`, `{N}:turns` | list, zset | prompts whose conversation is free, and whose turn is next; that of a paused tenant is `+inf` | until moved to `prompts`; until resumed |
//! | `{N}:prompts` | stream | the next prompts to submit, as short as the free handlers | until settled |
//! | `{N}:inbox` | stream | verified webhooks and findings of our own | until settled |
//! | `{N}:prompt:<promptId>` | hash | the record | retention after the end; `request` goes at the end |
//! | `{N}:job:<jobId>` | string | promptId | as the record |
//! | `{N}:idempotency:<tenant>:<hash>` | string | promptId and fingerprint | 24 h |
//! | `{N}:seen:event:<hash>`, `{N}:seen:job:<jobId>:<STATE>` | string | dedupe marks of webhooks: the job whose event had this id last, and that a job's end is known | 72 h |
//! | `{N}:slot:<conv>` | hash | `user`, `conversationId` (set once), `active`, `dead` (count) | none while a prompt is unfinished or dead, else retention and a day |
//! | `{N}:waiting:<conv>` | list | prompts behind the active one | while waiting |
//! | `{N}:alias:<conversationId>` | string | `<conv>` | as its slot, never shorter |
//! | `{N}:backlog` | hash | `prompts`, `bytes`, `prompts:<tenant>`, `bytes:<tenant>`: prompts that are unfinished and not dead | each field while it is not zero |
//! | `{N}:ended` | hash | how many prompts ever ended in which phase | for good |
//! | `{N}:deadlines` | zset | promptId → next check | until terminal or dead |
//! | `{N}:due`, `{N}:due:entries` | zset, hash | entries that wait or retry → when, and what | until promoted |
//! | `{N}:dead` | zset | open dead letters by time | until replayed, discarded or overtaken |
//! | `{N}:dead:<id>` | hash | a dead letter; `closed` (`replayed`, `discarded`) once it is not in `dead` any more | as above; closed: retention, or its prompt's end |
//! | `{N}:runs`, `{N}:runs:running` | zsets | runs by when they were asked for: all, and those that go on | 90 d; until ended |
//! | `{N}:run:<id>` | hash | a run: what was asked for, its `state`, what came of it, where it is | 90 d |
//! | `{N}:run:<id>:groups` | hash | letters that fitted, by cause: fingerprint → JSON | 90 d |
//! | `{N}:run:<id>:lease` | string | who drives it | seconds, renewed |
//! | `{N}:audit` | stream | who (`who`) replayed, discarded, cancelled, ran, stopped, paused, resumed (`what`) which letter, prompt, run, stage or tenant (`id`), and `details` (JSON) | 90 d |
//! | `{N}:paused` | hash | `stage:<name>`, `tenant:<name>` → who paused it, when and why (JSON) | until resumed |
//! | `{N}:budget:<keyId>` | hash | one Omni key: `closed` until when and `why`, `strikes`; who waits for room: `finishing`, `polling` | minutes |
//! | `{N}:budget:<keyId>:granted`, `:charged`, `:polls` | lists | when each request of the window went out; starts, with what they will need; polls | the window |
//! | `{N}:user:<hash>` | string | Omni's id of the embed user with this external id (its hash), or `-`: nobody | 24 h; `-` 30 s |
//! | `{N}:mcp:<hash>` | string | an MCP session of Omni's (the hash of its name): whose it is (a hash), and the Omni key it was opened with | 24 h after its last use |
//! | `{N}:unhandled` | stream | valid events nobody understands | about 10,000 |
//! | `{N}:shape` | string | the newest version of stored shapes that a relay which ran here stores: see `shape` | for good |
//! | `{N}:replicated` | string | written where replicas are waited for | a minute; only with `durability.replicas` |
//! | `{N}:answers` | stream | every terminal entry and `omni.delayed` | configured age and length |
//!
//! Data plane, one hash slot per conversation, and one per prompt with attachments:
//!
//! | key | type | what | lives |
//! | --- | --- | --- | --- |
//! | `N:conversation:{<conv>}` | stream | what consumers read | retention and about 10,000 entries |
//! | `…:done:<promptId>` | string | `<rank> <type> <entry>`: how far the prompt's entries have come | retention |
//! | `…:progress:<promptId>` | string | the last iteration of its job that was told | retention |
//! | `…:payload:<promptId>` | string | a result too large for an entry | retention |
//! | `…:chart:<promptId>` | string | an answer's chart, a PNG, or `-`: there is none | retention; where there was none a minute, unless there never will be |
//! | `…:replicated` | string | as in the control plane | a minute; only with `durability.replicas` |
//! | `N:attachment:{<promptId>}` | string | the files of a prompt, as Omni takes them | retention until the prompt is accepted; then until its job is known or its end is out |
//! | `…:replicated` | string | as above | the same |
//! | `N:wake` | channel | conversations that got an entry | – |

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::{Conversation, JobState, PromptId, Tenant};

/// Names keys of one namespace.
#[derive(Debug)]
pub struct Keys {
    namespace: String,
    /// `{N}:intake`
    pub intake: String,
    /// `{N}:intake:lease`
    pub intake_lease: String,
    /// `{N}:prompts`
    pub prompts: String,
    /// `{N}:inbox`
    pub inbox: String,
    /// `{N}:turns`
    pub turns: String,
    /// `{N}:backlog`
    pub backlog: String,
    /// `{N}:ended`
    pub ended: String,
    /// `{N}:deadlines`
    pub deadlines: String,
    /// `{N}:due`
    pub due: String,
    /// `{N}:due:entries`
    pub due_entries: String,
    /// `{N}:dead`
    pub dead: String,
    /// `{N}:runs`
    pub runs: String,
    /// `{N}:runs:running`
    pub runs_running: String,
    /// `{N}:audit`
    pub audit: String,
    /// `{N}:paused`
    pub paused: String,
    /// `{N}:unhandled`
    pub unhandled: String,
    /// `{N}:answers`
    pub answers: String,
    /// `{N}:shape`
    pub shape: String,
    /// `{N}:replicated`
    pub replicated: String,
    /// `N:wake`
    pub wake: String,
}

impl Keys {
    /// The consumer group of every stage stream.
    pub const GROUP: &'static str = "relay";

    /// Keys of a namespace.
    pub fn new(namespace: &str) -> Self {
        let control = |name: &str| format!("{{{namespace}}}:{name}");
        Self {
            namespace: namespace.to_owned(),
            intake: control("intake"),
            intake_lease: control("intake:lease"),
            prompts: control("prompts"),
            inbox: control("inbox"),
            turns: control("turns"),
            backlog: control("backlog"),
            ended: control("ended"),
            deadlines: control("deadlines"),
            due: control("due"),
            due_entries: control("due:entries"),
            dead: control("dead"),
            runs: control("runs"),
            runs_running: control("runs:running"),
            audit: control("audit"),
            paused: control("paused"),
            unhandled: control("unhandled"),
            answers: control("answers"),
            shape: control("shape"),
            replicated: control("replicated"),
            wake: format!("{namespace}:wake"),
        }
    }

    /// The namespace itself.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn control(&self, kind: &str, name: &str) -> String {
        format!("{{{}}}:{kind}:{name}", self.namespace)
    }

    /// A prompt's record.
    pub fn prompt(&self, id: &str) -> String {
        self.control("prompt", id)
    }

    /// The prompt of a job.
    pub fn job(&self, job_id: &str) -> String {
        self.control("job", job_id)
    }

    /// The queue of a tenant.
    pub fn ready(&self, tenant: &str) -> String {
        self.control("ready", tenant)
    }

    /// An idempotency key's mark; of a prompt without one, a name that nobody else has.
    pub fn idempotency(&self, tenant: &Tenant, key: Option<&str>) -> String {
        self.control("idempotency", &format!("{}:{}", tenant.as_str(), key.map(short_hash).unwrap_or_default()))
    }

    /// The mark of a webhook event.
    pub fn seen_event(&self, event_id: &str) -> String {
        self.control("seen:event", &short_hash(event_id))
    }

    /// The mark of a job's final state.
    pub fn seen_job(&self, job_id: Uuid, state: &JobState) -> String {
        self.control("seen:job", &format!("{job_id}:{state}"))
    }

    /// A conversation's slot.
    pub fn slot(&self, conversation: &Conversation) -> String {
        self.control("slot", conversation.as_str())
    }

    /// A conversation's waiting line.
    pub fn waiting(&self, conversation: &Conversation) -> String {
        self.control("waiting", conversation.as_str())
    }

    /// The conversation behind Omni's conversation id.
    pub fn alias(&self, conversation_id: &str) -> String {
        self.control("alias", conversation_id)
    }

    /// A dead letter.
    pub fn letter(&self, id: &str) -> String {
        self.control("dead", id)
    }

    /// A run; its groups; who drives it.
    pub fn run(&self, id: &str) -> [String; 3] {
        let run = self.control("run", id);
        [format!("{run}:groups"), format!("{run}:lease"), run]
    }

    /// What one of Omni's keys may still ask: its state, and when requests went out.
    pub fn budget(&self, key_id: &str) -> [String; 4] {
        let state = self.control("budget", key_id);
        [format!("{state}:granted"), format!("{state}:charged"), format!("{state}:polls"), state]
    }

    /// Who stands behind an external id. There is one Omni to a namespace, and tenants share its users.
    pub fn user(&self, external_id: &str) -> String {
        self.control("user", &short_hash(external_id))
    }

    /// Whose an MCP session is.
    pub fn mcp(&self, session: &str) -> String {
        self.control("mcp", &short_hash(session))
    }

    /// A conversation's stream.
    pub fn conversation(&self, conversation: &Conversation) -> String {
        format!("{}:conversation:{{{conversation}}}", self.namespace)
    }

    /// How far a prompt's entries have come.
    pub fn done(&self, conversation: &Conversation, id: PromptId) -> String {
        format!("{}:done:{id}", self.conversation(conversation))
    }

    /// How far a prompt's readers know its job to be.
    pub fn progress(&self, conversation: &Conversation, id: PromptId) -> String {
        format!("{}:progress:{id}", self.conversation(conversation))
    }

    /// What is written to a conversation's slot where replicas are waited for.
    pub fn replicated_beside(&self, conversation: &Conversation) -> String {
        format!("{}:replicated", self.conversation(conversation))
    }

    /// A prompt's files.
    pub fn attachments(&self, id: PromptId) -> String {
        format!("{}:attachment:{{{id}}}", self.namespace)
    }

    /// What is written to the slot of a prompt's files where replicas are waited for.
    pub fn replicated_with(&self, id: PromptId) -> String {
        format!("{}:replicated", self.attachments(id))
    }

    /// An answer's chart.
    pub fn chart(&self, conversation: &Conversation, id: PromptId) -> String {
        format!("{}:chart:{id}", self.conversation(conversation))
    }

    /// A payload too large for an entry.
    pub fn payload(&self, conversation: &Conversation, id: PromptId) -> String {
        format!("{}:payload:{id}", self.conversation(conversation))
    }
}

pub(super) fn short_hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_shares_a_slot_and_a_conversation_has_its_own() {
        let keys = Keys::new("relay");
        let conversation = Conversation::from_full("acme/t-1").unwrap();
        assert_eq!(keys.slot(&conversation), "{relay}:slot:acme/t-1");
        assert_eq!(keys.conversation(&conversation), "relay:conversation:{acme/t-1}");
        let id = PromptId::new(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(keys.done(&conversation, id), format!("relay:conversation:{{acme/t-1}}:done:{id}"));
    }
}
