//! What a prompt's record tells of it: the phases it has been in, and what it waited for before each.

use super::story::{Step, Waited};
use crate::model::{Cause, Phase};
use crate::store::delivery::Stream;
use crate::store::record::Record;

/// Shorter waits for a turn are not worth a word, milliseconds.
const SHORT: u64 = 1000;

/// The phases it has been in.
pub(super) fn phases(record: &Record) -> Vec<Step> {
    let entered = |phase| record.at.get(&phase).copied();
    let mut steps = vec![Step::new(record.accepted_at(), "it is accepted")];
    if let Some(waiting) = entered(Phase::Waiting) {
        let step = Step::new(waiting, "it waits for its conversation");
        steps.push(match &record.behind {
            Some(behind) => step.detail(format!("behind prompt {behind}")),
            None => step,
        });
        if let Some(queued) = entered(Phase::Queued) {
            let wait =
                Waited { cause: Cause::Conversation, ms: queued.saturating_sub(waiting), on: record.behind.clone() };
            steps.push(Step::new(queued, "its conversation is free").waits(vec![wait]));
        }
    }
    if let Some(sending) = entered(Phase::Sending) {
        let step = Step::new(sending, "it is sent to Omni").waits(before_sending(record, sending));
        steps.push(match &record.key_id {
            Some(key) => step.detail(format!("with key {key}")),
            None => step,
        });
    }
    if let Some(submitted) = entered(Phase::Submitted) {
        let job = record.job_id.as_deref().unwrap_or_default();
        steps.push(Step::new(submitted, "Omni takes it").detail(format!("job {job}")));
    }
    for (at, what) in [
        (record.cancel_requested, "its cancellation is asked for"),
        (record.replayed_at, "it is replayed"),
        (record.expiring, "its time is over while Omni works"),
        (entered(Phase::Finishing), "its end is known"),
    ] {
        steps.extend(at.map(|at| Step::new(at, what)));
    }
    let known = entered(Phase::Finishing).unwrap_or_else(|| record.accepted_at());
    let ends = record.at.iter().filter(|(phase, _)| phase.is_terminal());
    steps.extend(ends.map(|(phase, at)| {
        Step::new(*at, format!("it is {phase}")).waits(waits(record, Stream::Inbox, at.saturating_sub(known)))
    }));
    steps
}

/// What it was put aside for in a stage, within a time that had `left` milliseconds: what came before a replay, and a wait that
/// lasts, are no part of it.
fn waits(record: &Record, stream: Stream, mut left: u64) -> Vec<Waited> {
    let queued = record.at.get(&Phase::Queued).filter(|_| record.phase == Phase::Queued);
    let lasting =
        queued.zip(record.waits.as_ref()).map(|(queued, (_, cause, until))| (*cause, until.saturating_sub(*queued)));
    let lasts = |cause| lasting.filter(|(now, _)| *now == cause).map_or(0, |(_, ms)| ms);
    let own = record.waited.iter().filter(|(stage, ..)| stage == stream.stage());
    let mut waits: Vec<Waited> =
        own.map(|(_, cause, ms)| Waited { cause: *cause, ms: ms.saturating_sub(lasts(*cause)), on: None }).collect();
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.ms));
    for wait in &mut waits {
        wait.ms = wait.ms.min(left);
        left -= wait.ms;
    }
    waits.retain(|wait| wait.ms > 0);
    waits
}

/// What it was put aside for, and the rest of the time since its conversation was free, when nobody read it.
fn before_sending(record: &Record, sending: u64) -> Vec<Waited> {
    let free = match record.at.get(&Phase::Waiting) {
        Some(_) => record.at.get(&Phase::Queued).copied().unwrap_or(sending),
        None => record.clock_started_at(),
    };
    let mut waits = waits(record, Stream::Prompts, sending.saturating_sub(record.clock_started_at()));
    let aside: u64 = waits.iter().map(|wait| wait.ms).sum();
    let rest = sending.saturating_sub(free).saturating_sub(aside);
    if let Some(cause) = record.held.filter(|_| rest >= SHORT) {
        waits.push(Waited { cause, ms: rest, on: None });
    }
    waits
}
