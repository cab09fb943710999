//! One job's answer, worked out anew whenever somebody asks: the data never changes.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::clock::millis;
use super::super::job::Job;
use super::markdown::{markdown, title};
use super::question::Question;
use super::table::Table;

pub(in super::super) struct Answer {
    pub(super) title: String,
    pub(in super::super) markdown: String,
    pub(super) table: Table,
}

pub(in super::super) fn answer(job: &Job) -> Answer {
    let visible = job.region.as_deref();
    let title = title(&job.question);
    let table = Table::of(&job.question, visible);
    Answer { markdown: markdown(&job.question, &table, &title, visible), title, table }
}

/// What the job is doing in this iteration.
pub(in super::super) fn progress(question: &Question, iteration: u32, updated: Timestamp) -> Value {
    let message = match iteration {
        1 => "Searching for the right topic".to_owned(),
        2 => format!("Running query: {}", title(question)),
        3 => "Reading the rows".to_owned(),
        _ => "Writing the answer".to_owned(),
    };
    json!({ "iteration": iteration, "message": message, "updatedAt": millis(updated) })
}
