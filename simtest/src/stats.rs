//! What a run counts.

use std::fmt;
use std::ops::AddAssign;

use crate::choice::Kind;
use crate::time::Time;

/// Counters of one run, or of many added up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Inputs given to nodes: datagrams, timers, commands, finished store operations, boots.
    pub events: u64,
    /// Virtual time that has passed (added up over runs), in nanoseconds.
    pub virtual_nanos: u64,
    /// Datagrams sent by nodes.
    pub sent: u64,
    /// Datagrams delivered to nodes, copies included.
    pub delivered: u64,
    /// Datagrams larger than the link's MTU.
    pub lost_mtu: u64,
    /// Datagrams that met a cut link.
    pub lost_cut: u64,
    /// Datagrams that arrived at a dead node.
    pub lost_down: u64,
    /// Datagrams that found the queue of a paused node full.
    pub lost_queue: u64,
    /// Datagrams that were lost in the queue of a bottleneck.
    pub lost_narrow: u64,
    /// Datagrams to an address that no node has.
    pub unroutable: u64,
    /// Datagrams without a label that had to be named by their position.
    pub unlabelled: u64,
    /// Commands to dead nodes.
    pub cmds_lost: u64,
    /// Store operations that ended.
    pub stored: u64,
    /// Store operations that failed.
    pub store_errors: u64,
    /// Streams that were opened.
    pub streams: u64,
    /// Streams that broke.
    pub streams_broken: u64,
    /// Records written to streams.
    pub records: u64,
    /// Bytes read from streams.
    pub stream_bytes: u64,
    faults: [Tally; 16],
}

/// How often a kind of fault was chosen, and how often that made a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Faults of this kind in the schedule.
    pub chosen: u64,
    /// Those that touched something: a partition that stopped a datagram, a delay that was overtaken, a copy
    /// that arrived, ...
    pub mattered: u64,
}

impl Stats {
    /// The tally of one kind of fault.
    pub const fn faults(&self, kind: Kind) -> Tally {
        self.faults[kind as usize - 1]
    }

    pub(crate) const fn chosen(&mut self, kind: Kind) {
        self.faults[kind as usize - 1].chosen += 1;
    }

    pub(crate) const fn mattered(&mut self, kind: Kind) {
        self.faults[kind as usize - 1].mattered += 1;
    }

    pub(crate) const fn ended(&mut self, at: Time) {
        self.virtual_nanos = at.as_nanos();
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.virtual_nanos += other.virtual_nanos;
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.lost_mtu += other.lost_mtu;
        self.lost_cut += other.lost_cut;
        self.lost_down += other.lost_down;
        self.lost_queue += other.lost_queue;
        self.lost_narrow += other.lost_narrow;
        self.unroutable += other.unroutable;
        self.unlabelled += other.unlabelled;
        self.cmds_lost += other.cmds_lost;
        self.stored += other.stored;
        self.store_errors += other.store_errors;
        self.streams += other.streams;
        self.streams_broken += other.streams_broken;
        self.records += other.records;
        self.stream_bytes += other.stream_bytes;
        for (sum, tally) in self.faults.iter_mut().zip(other.faults) {
            sum.chosen += tally.chosen;
            sum.mattered += tally.mattered;
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.virtual_nanos / 1_000_000_000;
        writeln!(f, "events {}  virtual {seconds} s  commands lost {}", self.events, self.cmds_lost)?;
        writeln!(
            f,
            "datagrams: sent {}  delivered {}  lost to mtu {}, cuts {}, dead nodes {}, full queues {}, bottlenecks {}  \
             unroutable {}  unlabelled {}",
            self.sent,
            self.delivered,
            self.lost_mtu,
            self.lost_cut,
            self.lost_down,
            self.lost_queue,
            self.lost_narrow,
            self.unroutable,
            self.unlabelled
        )?;
        if self.streams > 0 {
            writeln!(
                f,
                "streams: opened {}  broken {}  records written {}  bytes read {}",
                self.streams, self.streams_broken, self.records, self.stream_bytes
            )?;
        }
        writeln!(f, "store: operations {}  failed {}", self.stored, self.store_errors)?;
        write!(f, "faults (mattered/chosen):")?;
        for kind in Kind::FAULTS {
            let tally = self.faults(kind);
            if tally.chosen == 0 && !kind.is_usual() {
                continue;
            }
            write!(f, " {} {}/{}", kind.word(), tally.mattered, tally.chosen)?;
        }
        Ok(())
    }
}
