//! What sort of failure a failure is.

use crate::node::Node;
use crate::oracle::Verdict;
use crate::sim::Sim;

/// Sorts of failure; the numbers are exit codes of the command line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// A node or a judge panicked, or broke the rules of [`Node`].
    Crash = 1,
    /// Something that should come true did not.
    Liveness = 2,
    /// Something happened that must not.
    Safety = 3,
    /// Two runs of one seed were not the same run, or the simulator broke its own laws.
    Determinism = 4,
    /// The test shows less than it seems to: something never happened, or nothing could be decided.
    Vacuous = 5,
}

impl Class {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Liveness => "liveness",
            Self::Safety => "safety",
            Self::Determinism => "determinism",
            Self::Vacuous => "vacuous",
        }
    }

    /// The class of a verdict that is not a pass.
    pub fn of<N: Node>(sim: &Sim<N>, verdict: &Verdict) -> Self {
        match verdict.oracle() {
            None => Self::Vacuous,
            Some("panic" | "node contract") => Self::Crash,
            Some("livelock" | "busy loop") => Self::Liveness,
            Some(oracle) if sim.eventually.iter().any(|(name, _)| name == oracle) => Self::Liveness,
            Some(_) => Self::Safety,
        }
    }
}
