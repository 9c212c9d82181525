//! The flight recorder: everything that goes into the server's machines, so that a session can be run again bit for bit.
//!
//! What comes out is noted too, as a checksum, so that a replay can tell whether it is the same. A server in shards has a file for
//! the chat log and the rooms, and one for the connections of each shard.

#[cfg(test)]
mod decode;
mod encode;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod sessions;
mod taped;
#[cfg(test)]
mod tests;
#[cfg(all(test, target_os = "linux"))]
mod whole;

use std::collections::BTreeMap;
use std::io;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path as File;
use std::time::Duration;

use driver::recorded::Put;
use driver::{Path, Recorder};
use proto_core::wire::varint;
use proto_core::{Now, Timestamp};

pub(crate) use self::encode::{Rooms, Said, taken};
pub(crate) use self::taped::Taped;

/// The name in the head of a recording. It changes with what the kinds below hold.
pub(crate) const PROTOCOL: &str = "bowline-server/7";

/// The sorts of input.
pub(crate) mod kind {
    /// A server is born.
    pub(crate) const START: u8 = 0;
    pub(crate) const PATH: u8 = 1;
    pub(crate) const PACKETS: u8 = 2;
    pub(crate) const TIMEOUT: u8 = 3;
    /// Packets were asked for, so many at most; with how many came, and their checksum.
    pub(crate) const TRANSMIT: u8 = 4;
    /// Events were polled, and guests were told what concerns them.
    pub(crate) const SETTLE: u8 = 5;
    pub(crate) const REPORT: u8 = 6;
    pub(crate) const ANSWER: u8 = 7;
    pub(crate) const DRAIN: u8 = 8;
    /// A batch that the store's thread did not take.
    pub(crate) const NOT_TAKEN: u8 = 9;
    /// A read that the store's thread did not take.
    pub(crate) const NOT_READ: u8 = 10;
    /// The server was asked for a batch.
    pub(crate) const PERSIST: u8 = 11;
    /// The server was asked what it wants to read.
    pub(crate) const READ: u8 = 12;
    /// A stream was accepted: its path, its largest record, what it vouches for, and the number that it got.
    pub(crate) const LINK_UP: u8 = 13;
    pub(crate) const LINK_DOWN: u8 = 14;
    pub(crate) const LINK_BROKEN: u8 = 15;
    pub(crate) const RECORD: u8 = 16;
    /// The server was asked which stream may have something to write.
    pub(crate) const POLL_LINK: u8 = 17;
    /// The server was asked for the next record of a stream.
    pub(crate) const POLL_RECORD: u8 = 18;
    /// A stream is another shard's, unless it is too late for that.
    pub(crate) const RELEASE_LINK: u8 = 19;
    /// A guest has come: from where, and the number that it got.
    pub(crate) const GUEST_CAME: u8 = 20;
    pub(crate) const GUEST_SAID: u8 = 21;
    /// A guest takes what waits for it: its checksum.
    pub(crate) const GUEST_TAKES: u8 = 22;
    pub(crate) const GUEST_GONE: u8 = 23;
    /// Who runs the server wants something.
    pub(crate) const WISH: u8 = 24;
    /// A shard has something to report.
    pub(crate) const SHARD_REPORT: u8 = 25;
    /// Orders were polled for shards: how many, and their checksum.
    pub(crate) const POLL_ORDERS: u8 = 26;
    /// The connections of a shard are born.
    pub(crate) const START_SHARD: u8 = 27;
    /// The services want something of a shard.
    pub(crate) const ORDER: u8 = 28;
    /// Reports of a shard were polled: how many, and their checksum.
    pub(crate) const POLL_REPORTS: u8 = 29;
    /// Added to a sort whose time was before that of the input before it; how long comes first.
    pub(crate) const LATE: u8 = 0x80;

    /// Whether it brings something that did not come of time alone.
    pub(super) const fn is_fresh(kind: u8) -> bool {
        !matches!(kind, TIMEOUT | TRANSMIT | SETTLE | PERSIST | READ | POLL_LINK | POLL_RECORD | GUEST_TAKES)
    }
}

/// A server that is killed loses at most so much of the end.
const FLUSH: Duration = Duration::from_secs(1);

/// So many paths are known by a number; then the numbers begin anew.
const PATHS: usize = 65_536;

/// Notes the inputs of a machine.
#[derive(Debug)]
pub(crate) struct Record {
    recorder: Recorder,
    paths: BTreeMap<Path, u32>,
    /// When it was last written down.
    flushed: Timestamp,
    /// Since then something came from outside.
    is_fresh: bool,
    /// When the latest input came.
    latest: Now,
    scratch: Vec<u8>,
}

impl Record {
    /// Begins a file with a birth, which is in it when this returns.
    pub(crate) fn create(file: &File, limit: u64, now: Now, kind: u8, birth: &impl Put) -> io::Result<Self> {
        let recorder = Recorder::create(file, PROTOCOL, limit)?;
        if let Some(kept) = recorder.kept() {
            tracing::info!(file = %kept.display(), "what was recorded before is kept");
        }
        let mut record = Self {
            recorder,
            paths: BTreeMap::new(),
            flushed: now.mono,
            is_fresh: false,
            latest: now,
            scratch: Vec::new(),
        };
        record.note(now, kind, birth);
        record.flush();
        Ok(record)
    }

    /// Notes an input.
    pub(crate) fn note(&mut self, now: Now, kind: u8, what: &impl Put) {
        self.note_with(now, kind, what, &[]);
    }

    /// Notes an input with bytes at its end.
    fn note_with(&mut self, now: Now, kind: u8, what: &impl Put, rest: &[u8]) {
        self.is_fresh |= kind::is_fresh(kind);
        self.scratch.clear();
        let late = self.latest.mono.since(now.mono);
        let kind = if late.is_zero() {
            self.latest = now;
            kind
        } else {
            varint::encode(late.as_nanos() as u64, &mut self.scratch);
            kind | kind::LATE
        };
        what.put(&mut self.scratch);
        // What comes late has its own wall time, which is told to clients.
        self.recorder.note(Now { unix_ms: now.unix_ms, ..self.latest }, kind, &[&self.scratch, rest]);
    }

    /// Runs `work`, a question whose answer is noted later; if it panics, this is noted instead.
    pub(crate) fn asking<T>(
        &mut self,
        now: Now,
        kind: u8,
        unanswered: &impl Put,
        work: impl FnOnce() -> T,
    ) -> T {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            self.note(now, kind, unanswered);
            resume_unwind(panic)
        })
    }

    /// The number of a path; notes it first if it is new.
    fn path(&mut self, now: Now, path: Path) -> u32 {
        if self.paths.len() >= PATHS {
            self.paths.clear();
        }
        let next = self.paths.len() as u32;
        let number = *self.paths.entry(path).or_insert(next);
        if number == next {
            self.note(now, kind::PATH, &(number, path));
        }
        number
    }

    /// To be called after each turn.
    pub(crate) fn settle(&mut self, now: Now) {
        if now.mono.since(self.flushed) >= FLUSH {
            (self.flushed, self.is_fresh) = (now.mono, false);
            self.recorder.hand_over();
        }
        if let Some(why) = self.recorder.ended() {
            tracing::warn!(why, "recording has ended");
        }
    }

    /// When what was noted is to go to the disk.
    fn due(&self) -> Option<Timestamp> {
        self.is_fresh.then(|| self.flushed + FLUSH)
    }

    fn flush(&mut self) {
        self.recorder.flush();
    }

    fn count(&self) -> Recordings {
        Recordings { under_way: self.recorder.why_ended().is_none().into(), missed: self.recorder.missed() }
    }
}

/// How far what the server is told is in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recordings {
    /// Files that are being written.
    pub(crate) under_way: u64,
    /// Inputs that are in no file, as recording had ended.
    pub(crate) missed: u64,
}

impl AddAssign for Recordings {
    fn add_assign(&mut self, other: Self) {
        self.under_way += other.under_way;
        self.missed += other.missed;
    }
}
