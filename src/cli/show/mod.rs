//! How things look on a terminal.

mod answer;
mod markdown;
mod style;
mod table;

pub(super) use answer::answer;
pub(super) use style::{Style, plain, print};
pub(super) use table::{page, table};
