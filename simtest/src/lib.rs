//! simtest
#![forbid(unsafe_code)]

mod campaign;
pub mod check;
mod choice;
mod disk;
mod fault;
mod link;
mod node;
mod oracle;
mod outcome;
mod prf;
#[cfg(test)]
mod probe;
mod run;
mod runner;
mod scenario;
mod schedule;
mod sim;
mod stats;
mod table;
mod time;
mod trace;

pub use self::campaign::Chaos;
pub use self::choice::{Alt, Choice, ChoiceKey, Chooser, CloneChooser, FromSchedule, FromSeed, Kind, Origin};
pub use self::disk::{Disk, DiskLoss, DiskModel, DiskOp, OpId, StoreError, StoreOp};
pub use self::fault::{Fault, Timed, Trouble, What, When, at};
pub use self::link::{Dist, Link, Preset};
pub use self::node::{Addr, Boot, Dissect, Ecn, Node, NodeId, RecvMeta, Transmit};
pub use self::oracle::{Check, CloneOracle, Judgement, Life, Oracle, Phase, Verdict, View};
pub use self::outcome::Outcome;
pub use self::prf::{hash_bytes, mix, prf};
pub use self::run::{MAX_DRAIN, MAX_PAUSED, Run};
pub use self::runner::{Divergence, Failure, Report, check_determinism, run_seeds, search};
pub use self::scenario::Scenario;
pub use self::schedule::{
    Content, Damage, DatagramFault, Effect, Line, LineWhat, ParseError, Schedule, Weather,
};
pub use self::sim::{Sim, Workload};
pub use self::stats::{Stats, Tally};
pub use self::time::{Now, START_UNIX_MS, Time, ms, secs, us};
pub use self::trace::{Level, Order, Times, Trace, TraceView};
