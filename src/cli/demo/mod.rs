//! `demo`: simulator, relay and a private Redis in one terminal, and a conversation to watch.

mod check;
mod command;
mod parts;
mod script;

pub(super) use command::Demo;
