//! Stories: what people do, what goes wrong, what they see.

mod answers;
mod budget;
mod cancel;
mod conversations;
mod dead;
mod faults;
mod intake;
mod reconcile;
