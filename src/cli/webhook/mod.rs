//! `webhook`: Omni's signature by hand, to find out why a webhook is turned away.

mod command;
mod given;
mod send;
mod sign;
mod verify;

pub(super) use command::Webhook;
