//! The only speaker of Omni: its REST calls, one file per verb, and the webhooks it sends.
//!
//! Outgoing: [`Omni`] creates, watches, reads, draws, rates and cancels jobs, finds and makes embed users and reads
//! conversations; [`McpClient`] passes on what agents say to its MCP server. Every failure is an
//! [`OmniError`] that says what became of the request.
//! Incoming: [`Verified`] is an axum extractor; holding one is the proof that its body was signed with a secret of ours.

mod api_key;
mod cancel;
mod chart;
mod classify;
mod client;
mod conversation;
mod conversations;
mod create;
mod detail;
mod error;
mod event;
mod feedback;
mod lenient;
mod mcp;
mod progress;
mod result;
mod retry_after;
mod self_test;
mod session;
pub mod signature;
mod status;
mod users;
mod webhook;

pub use api_key::{ApiKey, InvalidApiKey};
pub use client::{Omni, OmniOptions, OmniSetupError};
pub use conversation::Message;
pub use conversations::{ConversationHead, ConversationPage};
pub use create::{CreateJob, Created, WebhookRequest};
pub use detail::Detail;
pub use error::{Doubt, OmniError, TransportError};
pub use event::{Event, MalformedEvent};
pub use mcp::{MCP_SESSION, McpAnswer, McpClient, McpRequest};
pub use progress::Progress;
pub use result::JobResult;
pub use self_test::{post_signed, test_event};
pub use session::{EmbedUser, SessionPath};
pub use status::{JobError, JobStatus};
pub use users::{UserPage, UserSearch};
pub use webhook::{MAX_WEBHOOK_BODY, Verified, WebhookRejection, WebhookVerifier};
