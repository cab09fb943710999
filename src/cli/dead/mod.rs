//! `dead`: what could not be done, and what a person decides about it.

mod command;
mod decide;
mod export;
mod filter;
mod list;

pub(super) use command::Dead;
pub(super) use list::{Part, table, when};
