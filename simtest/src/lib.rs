//! A deterministic simulator for sans-IO protocols.
//!
//! You have a protocol as a state machine: bytes, commands and timers go in, bytes and events come out. This
//! crate runs many of them against each other in virtual time, over links that lose, repeat, delay and damage
//! datagrams, with crashes, torn disks, pauses and partitions; judges each run; and turns a failing one into
//! a few lines of text that make it fail again.
//!
//! ```text
//!   commands ──►┌────────┐ datagrams ┌────────┐ datagrams ┌────────┐◄── commands
//!     events ◄──│ node a │◄─────────►│ links  │◄─────────►│ node b │──► events
//!               └──┬─────┘           └────────┘           └─────┬──┘
//!                 disk        faults ─►  ▲  ◄─ weather         disk
//! ```
//!
//! # An example
//!
//! A client that asks until it is answered, over a bad network:
//!
//! ```
//! use simtest::*;
//!
//! #[derive(Clone, Default)]
//! struct Peer {
//!     out: Vec<(Addr, &'static [u8])>,
//!     asking: Option<(Addr, Time)>,
//!     answers: u32,
//! }
//!
//! impl Node for Peer {
//!     type Cmd = Addr; // ask this peer
//!     type Event = &'static str;
//!
//!     fn on_cmd(&mut self, now: Now, peer: Addr) {
//!         self.asking = Some((peer, now.mono));
//!     }
//!     fn on_timeout(&mut self, now: Now) {
//!         if let Some((peer, at)) = &mut self.asking {
//!             self.out.push((*peer, b"ask"));
//!             *at = now.mono + ms(100);
//!         }
//!     }
//!     fn on_datagram(&mut self, _now: Now, from: Addr, bytes: &[u8], _meta: RecvMeta) {
//!         match bytes {
//!             b"ask" => self.out.push((from, b"answer")),
//!             b"answer" if self.asking.take().is_some() => self.answers += 1,
//!             _ => {} // damaged, or repeated
//!         }
//!     }
//!     fn poll_transmit(&mut self, _now: Now, out: &mut Vec<u8>) -> Option<Transmit> {
//!         let (dst, bytes) = self.out.pop()?;
//!         out.extend_from_slice(bytes);
//!         Some(Transmit { dst, ecn: Ecn::NotEct, len: bytes.len() })
//!     }
//!     fn poll_timeout(&self) -> Option<Time> {
//!         self.asking.map(|(_, at)| at)
//!     }
//!     fn poll_event(&mut self) -> Option<&'static str> {
//!         None
//!     }
//! }
//!
//! impl Dissect for Peer {
//!     fn dissect(bytes: &[u8], _text: &mut String) -> Option<&'static str> {
//!         [b"ask" as &[u8], b"answer"].contains(&bytes).then_some(if bytes == b"ask" { "Ask" } else { "Answer" })
//!     }
//! }
//!
//! fn sim() -> Sim<Peer> {
//!     let mut sim = Sim::new("ask");
//!     let a = sim.node("a", |_| Peer::default());
//!     let b = sim.node("b", |_| Peer::default());
//!     sim.links(Link::wifi());
//!     sim.campaign(Chaos::default().victims(Kind::Crash, ["b"]).until(secs(5)).quiet_for(secs(30)));
//!     sim.workload(|w| {
//!         w.at(ms(500)).cmd(a, b.addr());
//!     });
//!     sim.eventually("answered", move |v| v.node(a).is_some_and(|a| a.answers == 1));
//!     sim
//! }
//!
//! // All faults at random, 100 times; a failure panics with everything that is needed to repeat it.
//! let report = run_seeds(0..100, |_seed| sim());
//! assert_eq!(report.seeds, 100);
//!
//! // One run with exactly these faults, as a reviewable trace.
//! let schedule = "simtest-sched 1\n\
//!                 f1 drop a>b \"Ask\" occ=1\n\
//!                 f2 crash b at=550ms for=100ms disk=unsynced";
//! let outcome = sim().record(true).run(FromSchedule::new(&Schedule::parse(schedule).unwrap()));
//! assert_eq!(
//!     outcome.trace.view(TraceView::messages()),
//!     "a!1 Addr(1)\n\
//!      \x20 a>b#1    Ask                            f1 drop\n\
//!      \x20 a>b#2    Ask                            node down\n\
//!      \x20 a>b#3    Ask                            ok\n\
//!      b   f2 CRASH\n\
//!      b   f2 restart\n\
//!      \x20 b>a#1    Answer                         ok\n\
//!      -   quiet\n\
//!      PASS\n"
//! );
//! ```
//!
//! With `#[simtest::test]` ([`test`]) such a function is a test under all drivers at once; docs/simtest.md in the
//! repository is a guide from an empty crate to a shrunk failure.
//!
//! # How a run goes
//!
//! A [`Sim`] describes nodes, links, faults, workload and judges. [`Sim::run`] makes one run of it: a heap of
//! events, no ticks, so that idle time costs nothing. A campaign ([`Chaos`]) has random faults for a while
//! and then a quiet phase without any, in which everything must converge: that is how bugs show from which a
//! protocol does not recover.
//!
//! Judges: [`Sim::invariant`] after every event, [`Sim::eventually`] in the quiet phase, [`Sim::finally`] at
//! the end, and [`Oracle`]s that are told everything as it happens. [`check`] has ready ones. Every run also
//! fails on a node that panics, never stops giving output ("livelock"), leaves its timer in the past ("busy
//! loop"), or miscounts its bytes ("node contract").
//!
//! # Streams
//!
//! Besides datagrams nodes can use streams ([`StreamOp`], [`StreamEvent`]): bytes in order, read in pieces of any size, with
//! backpressure and half-closed ends. They stall, break after any byte, die with a node or without a word; each of these is
//! a fault with a name, for [`Dissect::record`] says what lies on them.
//!
//! # Choices, seeds and schedules
//!
//! Whatever the simulator leaves to chance is a choice with a name and a default: nothing happens. The name
//! says what the choice is about, "the 2nd time that `Ack slot=3` goes from s to a"; the answer is a function
//! of seed and name ([`prf()`]). So faults do not depend on each other: take one away, and the others stay
//! where they were. The labels come from [`Dissect`].
//!
//! What was not the default makes a [`Schedule`]: a few lines of text, to be stored beside the test. Seeds
//! find failures; schedules keep them, also when the code around has changed. [`Outcome::unmatched`] names
//! lines that no longer apply.
//!
//! # Drivers
//!
//! Who answers the choices is a [`Chooser`]. [`FromSeed`]: at random. [`FromSchedule`]: as written down. [`certify`]: in
//! every way with few faults, which gives a [`Certificate`] or the failure with the fewest. [`FromBytes`]: as a fuzzer
//! says. And a running simulation is a value: [`Run::clone`] copies it, [`Run::branch`] lets the copy go on with other
//! choices.
//!
//! A failure is [shrunk](shrink): fewer faults, commands and hosts, flat weather, earlier and simpler faults, then a
//! search for any story with fewer; with what each fault contributes, and from where on the failure was certain.
//! [`verify::laws`] checks a trace against what a simulator must never do.
//!
//! # What a node must not do
//!
//! Two runs of one seed are the same run, record for record: [`Outcome::hash`] covers all of them, and
//! [`check_determinism`] compares. This holds as long as nodes look at their inputs only: no clocks, no OS
//! randomness, no threads, no statics, no iteration over `HashMap`, no order of pointers, and no floating
//! point where platforms could differ.
#![forbid(unsafe_code)]

mod campaign;
pub mod check;
mod choice;
mod disk;
mod explore;
mod failure;
mod fault;
mod harness;
mod link;
mod node;
mod oracle;
mod outcome;
mod overdue;
mod panics;
mod prf;
#[cfg(test)]
mod probe;
mod recording;
mod run;
mod runner;
mod scenario;
mod schedule;
mod sim;
mod stats;
mod stream;
mod table;
mod tape;
mod time;
mod trace;
pub mod verify;

pub use self::campaign::Chaos;
pub use self::choice::{Alt, Choice, ChoiceKey, Chooser, CloneChooser, FromSchedule, FromSeed, Kind, Origin};
pub use self::disk::{Disk, DiskLoss, DiskModel, DiskOp, OpId, StoreError, StoreOp};
pub use self::explore::{
    Bounds, Budget, Certificate, Curve, Inevitable, Moment, Shrunk, Size, Slice, certify, shrink,
    shrink_while, why,
};
pub use self::failure::Failure;
pub use self::fault::{Fault, On, Then, Timed, Trouble, What, When, at, on};
pub use self::harness::{Body, Class, Test, replay};
pub use self::link::{Bottleneck, Dist, Link, Passage, Preset, RateTrace, RateTraceError};
pub use self::node::{Addr, Boot, Dissect, Ecn, Node, NodeId, RecvMeta, Transmit};
pub use self::oracle::{Check, CloneOracle, Judgement, Life, Oracle, Phase, Verdict, View};
pub use self::outcome::Outcome;
pub use self::prf::{hash_bytes, mix, prf};
pub use self::recording::{Input, Recording, replay_recording};
pub use self::run::{MAX_DRAIN, MAX_PAUSED, Run};
pub use self::runner::{Divergence, Report, check_determinism, run_seeds, search};
pub use self::scenario::Scenario;
pub use self::schedule::{
    Content, Damage, DatagramFault, Effect, Line, LineWhat, ParseError, Schedule, Weather, Without,
};
pub use self::sim::{Sim, Workload};
pub use self::stats::{Stats, Tally};
pub use self::stream::{StreamEvent, StreamId, StreamOp, Streams};
pub use self::tape::FromBytes;
pub use self::time::{Now, START_UNIX_MS, Time, ms, secs, us};
pub use simtest_macros::test;

pub use self::trace::{Level, Order, Payload, Times, TooLarge, Trace, TraceView};
