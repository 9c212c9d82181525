//! The flight recorder: everything that goes into the server's machine, so that a session can be run again bit for bit.
//!
//! What comes out is noted too, as a checksum, so that a replay can tell whether it is the same.

#[cfg(test)]
mod decode;
mod encode;
mod links;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path as File;
use std::time::Duration;

use driver::{Path, Recorder};
use proto_core::chat::RoomState;
use proto_core::{Meta, Now, Timestamp, Transmit};

use crate::store::{Answer, Report};

pub(crate) use encode::Start;

/// The name in the head of a recording. It changes with what the kinds below hold.
pub(crate) const PROTOCOL: &str = "bowline-server/4";

/// The sorts of input.
pub(crate) mod kind {
    pub(crate) const START: u8 = 0;
    pub(crate) const PATH: u8 = 1;
    pub(crate) const PACKET: u8 = 2;
    /// With how many nanoseconds before the input that was noted last it is due.
    pub(crate) const TIMEOUT: u8 = 3;
    pub(crate) const TRANSMIT: u8 = 4;
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
    /// A stream was accepted: its path, its largest record, and the number that it got.
    pub(crate) const LINK_UP: u8 = 13;
    pub(crate) const LINK_DOWN: u8 = 14;
    pub(crate) const LINK_BROKEN: u8 = 15;
    pub(crate) const RECORD: u8 = 16;
    /// The server was asked which stream may have something to write.
    pub(crate) const POLL_LINK: u8 = 17;
    /// The server was asked for the next record of a stream.
    pub(crate) const POLL_RECORD: u8 = 18;
}

/// In the place of a checksum: there was no answer, but a panic.
const UNANSWERED: &[u8] = b"panic";

/// In the place of the number of a stream: there was no answer, but a panic.
const NOBODY: &[u8] = &u64::MAX.to_le_bytes();

/// A server that is killed loses at most so much of the end.
const FLUSH: Duration = Duration::from_secs(1);

/// So many paths are known by a number; then the numbers begin anew.
const PATHS: usize = 65_536;

/// Notes the inputs of the server's machine.
pub(crate) struct Record {
    recorder: Recorder,
    paths: BTreeMap<Path, u32>,
    /// When it was last written down.
    flushed: Timestamp,
    /// Since then something came from outside.
    is_fresh: bool,
}

impl Record {
    /// Begins a file with the birth of a server.
    pub(crate) fn create(
        file: &File,
        limit: u64,
        now: Now,
        start: &Start,
        rooms: &[RoomState],
    ) -> io::Result<Self> {
        let mut recorder = Recorder::create(file, PROTOCOL, limit)?;
        recorder.note(now, kind::START, &[&start.encode(rooms)]);
        recorder.flush();
        Ok(Self { recorder, paths: BTreeMap::new(), flushed: now.mono, is_fresh: true })
    }

    /// Notes a packet, and writes everything down if taking it in panics.
    pub(crate) fn packet(&mut self, now: Now, meta: Meta<Path>, packet: &[u8], work: impl FnOnce()) {
        let path = self.path(now, meta.path);
        self.is_fresh = true;
        let number = (path << 2 | encode::ecn(meta.ecn)).to_le_bytes();
        self.recorder.note(now, kind::PACKET, &[&number, packet]);
        self.recorder.guarded(work);
    }

    /// The number of a path; notes it first if it is new.
    fn path(&mut self, now: Now, path: Path) -> u32 {
        if self.paths.len() >= PATHS {
            self.paths.clear();
        }
        let next = self.paths.len() as u32;
        let number = *self.paths.entry(path).or_insert(next);
        if number == next {
            self.recorder.note(now, kind::PATH, &[&number.to_le_bytes(), &encode::path(path)]);
        }
        number
    }

    pub(crate) fn timeout(&mut self, now: Now, work: impl FnOnce()) {
        let late = self.recorder.at().saturating_sub(now.mono.as_nanos());
        self.recorder.note(now, kind::TIMEOUT, &[&late.to_le_bytes()]);
        self.recorder.guarded(work);
    }

    /// Asks for a packet; noted without an answer if that panics.
    pub(crate) fn asking<T>(&mut self, now: Now, work: impl FnOnce() -> T) -> T {
        self.recorder.asking(now, kind::TRANSMIT, &[UNANSWERED], work)
    }

    /// A packet was asked for; `sent` and `bytes` are what came of it.
    pub(crate) fn transmit(&mut self, now: Now, sent: Option<Transmit<Path>>, bytes: &[u8]) {
        match sent {
            Some(sent) => self.recorder.note(now, kind::TRANSMIT, &[&encode::checksum(&sent, bytes)]),
            None => self.recorder.note(now, kind::TRANSMIT, &[]),
        }
    }

    pub(crate) fn settle(&mut self, now: Now) {
        self.recorder.note(now, kind::SETTLE, &[]);
        if now.mono.since(self.flushed) >= FLUSH {
            (self.flushed, self.is_fresh) = (now.mono, false);
            self.recorder.hand_over();
        }
        if let Some(why) = self.recorder.ended() {
            tracing::warn!(why, "recording has ended");
        }
    }

    /// When what was noted is to go to the disk.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.is_fresh.then(|| self.flushed + FLUSH)
    }

    pub(crate) fn persist(&mut self, now: Now) {
        self.recorder.note(now, kind::PERSIST, &[]);
    }

    pub(crate) fn read(&mut self, now: Now) {
        self.recorder.note(now, kind::READ, &[]);
    }

    pub(crate) fn report(&mut self, now: Now, report: &Report) {
        self.is_fresh = true;
        self.recorder.note(now, kind::REPORT, &[&encode::report(report)]);
    }

    pub(crate) fn answer(&mut self, now: Now, answer: &Answer) {
        self.is_fresh = true;
        self.recorder.note(now, kind::ANSWER, &[&encode::answer(answer)]);
    }

    pub(crate) fn drain(&mut self, now: Now) {
        self.is_fresh = true;
        self.recorder.note(now, kind::DRAIN, &[]);
    }

    pub(crate) fn not_taken(&mut self, now: Now, batch: u64) {
        self.recorder.note(now, kind::NOT_TAKEN, &[&batch.to_le_bytes()]);
    }

    pub(crate) fn not_read(&mut self, now: Now, read: u64) {
        self.recorder.note(now, kind::NOT_READ, &[&read.to_le_bytes()]);
    }

    pub(crate) fn flush(&mut self) {
        self.recorder.flush();
    }
}
