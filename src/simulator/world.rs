//! Everything the simulator remembers, behind one lock.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::behaviour::Behaviour;
use super::budget::Budget;
use super::conversation::Conversation;
use super::fault::Fault;
use super::job::{Job, JobState, Step};
use super::options::{Options, Sessions, User};
use super::view::Request;

pub(super) struct World {
    pub(super) jobs: Vec<Job>,
    by_id: HashMap<Uuid, usize>,
    pub(super) conversations: HashMap<Uuid, Conversation>,
    pub(super) users: Vec<User>,
    pub(super) sessions: Sessions,
    /// Who was just made, and in how many lists they do not show up yet.
    pub(super) unseen: HashMap<Uuid, u32>,
    /// Grows with every request; a simulator lives as long as a test or a demo.
    pub(super) requests: Vec<Request>,
    pub(super) next: VecDeque<Behaviour>,
    pub(super) default: Behaviour,
    pub(super) faults: Vec<Fault>,
    pub(super) budget: Budget,
    /// Webhooks that were answered, over all jobs.
    pub(super) delivered: u64,
    random: fastrand::Rng,
    duration: RangeInclusive<Duration>,
}

impl World {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            jobs: Vec::new(),
            by_id: HashMap::new(),
            conversations: HashMap::new(),
            users: options.users.clone(),
            sessions: Sessions::default(),
            unseen: HashMap::new(),
            requests: Vec::new(),
            next: VecDeque::new(),
            default: options.behaviour.clone(),
            faults: Vec::new(),
            budget: Budget::new(options.requests_per_minute, options.minute),
            delivered: 0,
            random: fastrand::Rng::with_seed(options.seed),
            duration: options.duration.clone(),
        }
    }

    /// The job's place in the order of creation.
    pub(super) fn order(&self, id: Uuid) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn job(&self, id: Uuid) -> Option<&Job> {
        self.by_id.get(&id).map(|&index| &self.jobs[index])
    }

    pub(super) fn job_mut(&mut self, id: Uuid) -> Option<&mut Job> {
        self.by_id.get(&id).map(|&index| &mut self.jobs[index])
    }

    pub(super) fn behaviour_for_next_job(&mut self) -> Behaviour {
        self.next.pop_front().unwrap_or_else(|| self.default.clone())
    }

    pub(super) fn draw_duration(&mut self) -> Duration {
        let range = self.duration.clone();
        self.draw(&range)
    }

    pub(super) fn draw(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let micros = |d: &Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let (start, end) = (micros(range.start()), micros(range.end()));
        Duration::from_micros(self.random.u64(start..=end.max(start)))
    }

    pub(super) fn has_active_job(&self, conversation: Uuid) -> bool {
        let jobs = self.conversations.get(&conversation).map_or(&[][..], |found| &found.jobs);
        jobs.iter().rev().filter_map(|id| self.job(*id)).any(|job| !job.state.is_final())
    }

    pub(super) fn add_job(&mut self, job: Job) {
        if let Some(conversation) = self.conversations.get_mut(&job.conversation) {
            conversation.jobs.push(job.id);
            conversation.updated = job.created;
        }
        self.by_id.insert(job.id, self.jobs.len());
        self.jobs.push(job);
    }

    /// Moves a job on; a complete one leaves its question to the conversation.
    pub(super) fn step(&mut self, id: Uuid, now: Instant, wall: Timestamp) -> Step {
        let Some(job) = self.job_mut(id) else { return Step::Finished };
        let step = job.step(now, wall);
        if matches!(step, Step::Finished) {
            let (conversation, state, question) = (job.conversation, job.state, job.question.clone());
            if let Some(conversation) = self.conversations.get_mut(&conversation) {
                conversation.updated = wall;
                if state == JobState::Complete {
                    conversation.question = Some(question);
                }
            }
        }
        step
    }
}
