//! Answers that look like real ones: a small sales data set, a few words of English, Markdown, CSV, actions.

mod answer;
mod data;
mod markdown;
mod question;
mod result;
mod table;

pub(super) use answer::{answer, progress};
pub(super) use question::Question;
pub(super) use result::result;
