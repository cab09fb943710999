//! Floor 0: the nouns and the rules. No I/O, no clock, no randomness of its own.
//!
//! What a prompt is and what makes one valid ([`prompt`]; its files: [`attachments`]), the phases it passes ([`phase`]),
//! what happened to it ([`event`]), what its readers see ([`entry`]), how a stage's work is wrapped while it travels
//! ([`work`]), how long to wait before trying again ([`retry`]), and what is kept when nothing helps ([`dead_letter`];
//! [`letter`] as people see it; [`run`]: many of them at once; [`edit`]: changed before they are asked again). What users
//! think of an answer is [`feedback`], what something may have to wait for a [`cause`]. The shapes that other programs
//! depend on, as schemas, stand in [`prompt_schema`] and [`entry_schema`].

pub mod attachments;
pub mod cause;
pub mod dead_letter;
pub mod edit;
pub mod entry;
pub mod entry_schema;
pub mod event;
pub mod feedback;
pub(crate) mod fields;
pub mod ids;
pub mod letter;
pub mod members;
pub mod phase;
pub mod profile;
pub mod prompt;
pub mod prompt_schema;
pub mod retry;
pub mod run;
pub mod user;
pub mod work;

pub use attachments::{Attached, Attachments};
pub use cause::Cause;
pub use dead_letter::{DeadLetter, Reason};
pub use edit::Edit;
pub use entry::{Entry, EntryType};
pub use event::{Event, Finding, JobState, Verdict, Webhook};
pub use feedback::Feedback;
pub use ids::{Conversation, PromptId, Tenant};
pub use phase::Phase;
pub use prompt::{Body, Defaults, Invalid, Prompt};
pub use retry::Backoff;
pub use user::User;
pub use work::{Attempt, Envelope, Submit};
