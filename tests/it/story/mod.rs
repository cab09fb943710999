//! Stories: what people do, what goes wrong, what they see.

mod answers;
mod conversations;
mod faults;
mod intake;
mod reconcile;
