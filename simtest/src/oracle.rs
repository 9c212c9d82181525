//! Who judges a run, and what judges may look at.

use std::fmt;

use crate::node::{Node, NodeId};
use crate::run::Host;
use crate::stats::Stats;
use crate::time::{Now, Time};

/// Fine, or what is wrong.
pub type Check = Result<(), String>;

/// What closures may return to judge: a [`Check`], or a `bool` when there is nothing to add.
pub trait Judgement {
    /// As a check.
    fn into_check(self) -> Check;
}

impl Judgement for bool {
    fn into_check(self) -> Check {
        if self { Ok(()) } else { Err("does not hold".into()) }
    }
}

impl Judgement for Check {
    fn into_check(self) -> Check {
        self
    }
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything held.
    Pass,
    /// Something did not.
    Fail {
        /// The name of the check that failed; also "livelock", "busy loop", "node contract" and "panic".
        oracle: String,
        /// The number of the event after which it failed.
        at: u64,
        /// What was wrong.
        why: String,
    },
    /// The run could not be judged.
    Unknown(String),
}

impl Verdict {
    /// Whether everything held.
    pub const fn is_pass(&self) -> bool {
        matches!(self, Self::Pass)
    }

    /// The name of the check that failed.
    pub fn oracle(&self) -> Option<&str> {
        match self {
            Self::Fail { oracle, .. } => Some(oracle),
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("PASS"),
            Self::Fail { oracle, why, .. } => write!(f, "FAIL {oracle}: {why}"),
            Self::Unknown(why) => write!(f, "UNKNOWN {why}"),
        }
    }
}

/// A turn in the life of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// Booted for the first time.
    Started,
    /// Died.
    Crashed,
    /// Booted again.
    Restarted,
    /// Stands still.
    Paused,
    /// Goes on.
    Resumed,
}

/// A judge that follows the run as it happens: it is told everything once, so it need not look back.
///
/// A state machine itself: `Clone` copies it together with the running simulation.
pub trait Oracle<N: Node>: CloneOracle<N> {
    /// A command is about to be given to a node. Commands to dead nodes are lost and not told.
    fn command(&mut self, now: Now, node: NodeId, cmd: &N::Cmd) -> Check {
        let _ = (now, node, cmd);
        Ok(())
    }

    /// An application event came out of a node.
    fn event(&mut self, now: Now, node: NodeId, event: &N::Event) -> Check {
        let _ = (now, node, event);
        Ok(())
    }

    /// A node's life took a turn.
    fn lifecycle(&mut self, now: Now, node: NodeId, life: Life) -> Check {
        let _ = (now, node, life);
        Ok(())
    }

    /// The run is over and nothing has failed.
    fn finally(&mut self, view: &View<'_, N>) -> Check {
        let _ = view;
        Ok(())
    }
}

/// An oracle in a box can be cloned.
pub trait CloneOracle<N: Node> {
    /// A copy in a new box.
    fn clone_box(&self) -> Box<dyn Oracle<N>>;
}

impl<N: Node, O: Oracle<N> + Clone + 'static> CloneOracle<N> for O {
    fn clone_box(&self) -> Box<dyn Oracle<N>> {
        Box::new(self.clone())
    }
}

impl<N: Node> Clone for Box<dyn Oracle<N>> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

/// The part of a run that is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Faults happen. A run without a campaign stays in this phase.
    Chaos,
    /// No more faults; everything must converge.
    Quiet,
}

/// What a judge sees: the nodes as they are now.
pub struct View<'a, N: Node> {
    pub(crate) now: Time,
    pub(crate) phase: Phase,
    pub(crate) names: &'a [String],
    pub(crate) hosts: &'a [Host<N>],
    pub(crate) history: &'a [(Time, NodeId, N::Event)],
    pub(crate) stats: &'a Stats,
    pub(crate) latest: Option<u32>,
}

impl<'a, N: Node> View<'a, N> {
    /// The time.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The phase of the campaign.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// A node, or `None` while it is dead.
    pub fn node(&self, id: NodeId) -> Option<&'a N> {
        self.hosts.get(id.index())?.node.as_ref()
    }

    /// The node that the latest event happened to. All others are as they were when invariants were judged last: what is true of
    /// each node by itself need not be judged of them again. `None` if it happened to none, such as the loss of a datagram.
    pub fn latest(&self) -> Option<(NodeId, &'a N)> {
        let id = NodeId(self.latest?);
        Some((id, self.node(id)?))
    }

    /// All nodes that live, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &'a N)> {
        (0..).map(NodeId).zip(self.hosts).filter_map(|(id, host)| Some((id, host.node.as_ref()?)))
    }

    /// The name of a node.
    pub fn name(&self, id: NodeId) -> &'a str {
        &self.names[id.index()]
    }

    /// The events of a node so far, if [`Sim::keep_events`](crate::Sim::keep_events) is on; else none.
    pub fn events(&self, id: NodeId) -> impl Iterator<Item = &'a N::Event> {
        self.history.iter().filter(move |(_, node, _)| *node == id).map(|(.., event)| event)
    }

    /// Counters of the run so far.
    pub const fn stats(&self) -> &'a Stats {
        self.stats
    }
}
