//! Stories: what people do, what goes wrong, what they see.

mod answers;
mod attachments;
mod backlog;
mod budget;
mod cancel;
mod conversations;
mod dead;
mod explain;
mod fairness;
mod faults;
mod intake;
mod pauses;
mod progress;
mod reconcile;
mod users;
