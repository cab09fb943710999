//! `dead`: what could not be done, and what a person decides about it.

mod command;
mod list;

pub(super) use command::Dead;
