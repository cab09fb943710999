//! The phases of a prompt and the steps between them.
//!
//! ```text
//!            accept                turn, send               201                webhook or finding
//! (nothing) ───────▶ queued ─────────────────▶ sending ───────────▶ submitted ───────▶ finishing ───▶ answered
//!     └────▶ waiting ──▲  ▲                      │  │                                   ▲   │  │        failed
//!            (behind the  └── 429, 409, no byte ─┘  └── outcome unknown, adopted ───────┘   │  │        cancelled
//!             active one)                                                                   ▼  └──────▶ expired
//!                                                                                         dead (kept; replay, discard,
//!                                                                                               or overtaken by an answer)
//! ```

use std::fmt;
use std::str::FromStr;

use utoipa::ToSchema;

/// Where a prompt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Phase {
    /// Accepted, behind the active prompt of its conversation.
    Waiting,
    /// Accepted, holds its conversation's slot, waits for its turn.
    Queued,
    /// A create has been or is about to be sent: nobody may send another.
    Sending,
    /// Omni has the job.
    Submitted,
    /// A final state of the job, or a refusal, is known and not published yet.
    Finishing,
    /// `omni.answer` is out.
    Answered,
    /// `omni.failed` is out.
    Failed,
    /// `omni.cancelled` is out.
    Cancelled,
    /// `omni.expired` is out.
    Expired,
    /// A dead letter holds it; its readers have been told `omni.delayed`.
    Dead,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Queued,
        Self::Sending,
        Self::Submitted,
        Self::Finishing,
        Self::Answered,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
        Self::Dead,
    ];

    /// As stored and as shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Submitted => "submitted",
            Self::Finishing => "finishing",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Dead => "dead",
        }
    }

    /// Whether the terminal entry is out: nothing follows.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Answered | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Whether a prompt may go from here to `next`. The scripts of the store take their guards from this table.
    pub const fn may_become(self, next: Self) -> bool {
        match next {
            Self::Waiting => false,
            Self::Queued => matches!(self, Self::Waiting | Self::Sending),
            Self::Sending => matches!(self, Self::Queued),
            Self::Submitted => matches!(self, Self::Sending),
            Self::Finishing => !self.is_terminal(),
            Self::Answered | Self::Failed | Self::Cancelled | Self::Expired => {
                matches!(self, Self::Finishing | Self::Dead)
            }
            Self::Dead => !self.is_terminal() && !matches!(self, Self::Dead),
        }
    }

    /// Whether a person's replay may take a dead prompt here: to be asked, to a job that it has already, or to its end.
    /// Apart from [`Phase::may_become`], which says what happens without a person.
    pub const fn may_be_replayed_to(self) -> bool {
        matches!(self, Self::Queued | Self::Waiting | Self::Submitted | Self::Finishing)
    }

    /// Whether Omni has nothing of a prompt that is here, so that cancelling it ends it.
    pub const fn ends_when_cancelled(self) -> bool {
        matches!(self, Self::Waiting | Self::Queued | Self::Dead)
    }

    /// Whether Omni may be at work on a prompt that is here, so that cancelling it takes Omni.
    pub const fn is_cancelled_at_omni(self) -> bool {
        matches!(self, Self::Sending | Self::Submitted)
    }

    /// The phases for which `holds`, as a script's argument: `" queued sending "`.
    pub fn list(holds: impl Fn(Self) -> bool) -> String {
        let mut list = String::from(" ");
        for phase in Self::ALL.into_iter().filter(|phase| holds(*phase)) {
            list.push_str(phase.as_str());
            list.push(' ');
        }
        list
    }

    /// The phases from which a prompt may become `self`, as a script's argument: `" queued sending "`.
    pub fn sources(self) -> String {
        Self::list(|phase| phase.may_become(self))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever happens: a create is sent once for each time a prompt was queued, and an end is an end.
        #[test]
        fn a_walk_ends_for_good_and_sends_only_from_the_queue(first in 0..2_usize, luck: Vec<prop::sample::Index>) {
            let mut here = [Phase::Waiting, Phase::Queued][first];
            let (mut queued, mut sent) = (u32::from(here == Phase::Queued), 0);
            for step in luck {
                let goes = |next: &Phase| here.may_become(*next) || (here == Phase::Dead && next.may_be_replayed_to());
                let ways: Vec<Phase> = Phase::ALL.into_iter().filter(|next| *next != here && goes(next)).collect();
                prop_assert_eq!(ways.is_empty(), here.is_terminal(), "from {}", here);
                for way in &ways {
                    prop_assert!(!way.is_terminal() || matches!(here, Phase::Finishing | Phase::Dead), "{} -> {}", here, way);
                }
                let Some(next) = ways.get(step.index(ways.len().max(1))) else { break };
                here = *next;
                queued += u32::from(here == Phase::Queued);
                sent += u32::from(here == Phase::Sending);
                prop_assert!(sent <= queued);
            }
        }
    }

    #[test]
    fn words_come_back() {
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
    }

    #[test]
    fn nothing_leaves_a_terminal_phase() {
        for from in Phase::ALL.into_iter().filter(|phase| phase.is_terminal()) {
            for to in Phase::ALL {
                assert!(!from.may_become(to), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn a_create_is_only_sent_from_the_queue() {
        assert_eq!(Phase::Sending.sources(), " queued ");
    }

    #[test]
    fn a_cancel_ends_marks_or_comes_too_late() {
        assert_eq!(Phase::list(Phase::ends_when_cancelled), " waiting queued dead ");
        assert_eq!(Phase::list(Phase::is_cancelled_at_omni), " sending submitted ");
        for phase in Phase::ALL.into_iter().filter(|phase| phase.is_terminal()) {
            assert!(!phase.ends_when_cancelled() && !phase.is_cancelled_at_omni(), "{phase}");
        }
    }

    #[test]
    fn every_unfinished_phase_can_end() {
        for from in Phase::ALL.into_iter().filter(|phase| !phase.is_terminal()) {
            assert!(from.may_become(Phase::Finishing), "{from}");
        }
    }
}
